/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No file is looked at: a container's log file has the path that its engine gives it by default,
 * made from what is known of the container. An unknown part is `unknown`, which `*` matches.
 */
#include "process/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/regex.h"
#include "base/util.h"
#include "containers/pod.h"
#include "process/preset.h"
#include "process/selector.h"

#define PATH_MAX_BYTES 1024

static bool is_docker(const struct meta *m)
{
	return !m->engine || !strcmp(m->engine, "docker") || !strcmp(m->engine, "podman");
}

static bool in_pod(const struct meta *m)
{
	return m->pod_uid || preset__namespace(m);
}

/*
 * Docker's filters: https://docs.docker.com/engine/api/v1.41/#operation/ContainerList
 */

/* Equal, or found by it as a regular expression. */
static bool fits(const char *pattern, const char *text)
{
	const struct regex_span *spans;
	struct regex *re = NULL;
	struct regex_error why;
	bool is;

	if (!text)
		return false;
	if (!strcmp(pattern, text))
		return true;
	if (regex__new(&re, pattern, false, &why))
		return false;
	is = regex__match(re, text, strlen(text), 0, &spans) == 1;
	regex__free(re);
	return is;
}

static bool has_label(const struct meta *m, const char *wanted)
{
	const char *equals = strchr(wanted, '=');

	for (size_t i = 0; i < m->n_labels; i++) {
		const char *name = m->labels[i].name;

		if (!equals && !strcmp(name, wanted))
			return true;
		if (equals && strlen(name) == (size_t)(equals - wanted) &&
		    !strncmp(name, wanted, strlen(name)) && !strcmp(m->labels[i].value, equals + 1))
			return true;
	}
	return false;
}

/* With or without its tag. */
static bool is_image(const struct meta *m, const char *wanted)
{
	size_t len = strlen(wanted);

	if (m->image_id && fits(wanted, m->image_id))
		return true;
	return m->image && !strncmp(m->image, wanted, len) &&
	       (!m->image[len] ||
		((m->image[len] == ':' || m->image[len] == '@') && !strchr(m->image + len, '/')));
}

static bool fits_name(const struct meta *m, const char *wanted)
{
	char with_slash[300];

	if (!m->name)
		return false;
	snprintf(with_slash, sizeof(with_slash), "/%s", m->name);
	return fits(wanted, m->name) || fits(wanted, with_slash);
}

/* What is captured runs. Filters that are none of ours were told when the file was read. */
static bool fits_value(const struct meta *m, const char *filter, const char *wanted)
{
	if (!strcmp(filter, "id"))
		return fits(wanted, m->id);
	if (!strcmp(filter, "name"))
		return fits_name(m, wanted);
	if (!strcmp(filter, "label"))
		return has_label(m, wanted);
	if (!strcmp(filter, "ancestor"))
		return is_image(m, wanted);
	/* As Docker's own filter: it does not know a container by another's. */
	if (!strcmp(filter, "network"))
		return !m->network_of && ((m->network_name && !strcmp(m->network_name, wanted)) ||
					  (m->network_id && !strcmp(m->network_id, wanted)));
	if (!strcmp(filter, "status"))
		return !strcmp(wanted, "running");
	return true;
}

/* Any of the values; of labels all. */
static bool fits_filter(const struct meta *m, const struct config_docker_filter *f)
{
	bool all = !strcmp(f->name, "label");

	for (size_t i = 0; i < f->values.n; i++)
		if (fits_value(m, f->name, f->values.items[i]) != all)
			return !all;
	return all || !f->values.n;
}

static bool found_by_docker(const struct config_docker_sd *d, const struct meta *m)
{
	const struct config_docker_filter *filters = d->filters.items;

	if (!is_docker(m))
		return false;
	for (size_t i = 0; i < d->filters.n; i++)
		if (!fits_filter(m, &filters[i]))
			return false;
	return true;
}

static bool fits_selectors(const struct config_kubernetes_sd *k, const struct meta *m)
{
	const struct config_selector *selectors = k->selectors.items;

	for (size_t i = 0; i < k->selectors.n; i++) {
		const struct config_selector *s = &selectors[i];

		if (!strcmp(s->role, "pod") &&
		    (!selector__fits_labels(s->label, m) || !selector__fits_fields(s->field, m)))
			return false;
	}
	return true;
}

static bool found_by_kubernetes(const struct config_kubernetes_sd *k, const struct meta *m)
{
	const char *namespace = preset__namespace(m);
	const char *own = k->namespaces.own_namespace ? getenv("POD_NAMESPACE") : NULL;
	bool found = !k->namespaces.names.n && !k->namespaces.own_namespace;

	if (!in_pod(m) || strcmp(k->role, "pod"))
		return false;
	if (namespace && own && !strcmp(namespace, own))
		found = true;
	for (size_t i = 0; namespace && !found && i < k->namespaces.names.n; i++)
		found = !strcmp(k->namespaces.names.items[i], namespace);
	return found && fits_selectors(k, m);
}

static const char *known(const char *text)
{
	return text ? text : "unknown";
}

/* The i-th path that the container's log may be read by; false: there are no more. */
static bool log_path(const struct meta *m, size_t i, char out[PATH_MAX_BYTES])
{
	const char *pod = known(preset__pod(m));
	const char *container = known(meta__label(m, META_POD_CONTAINER_LABEL));
	const char *uid = m->pod_uid ? m->pod_uid : meta__label(m, META_POD_UID_LABEL);
	const char *id = known(m->id);

	/* The kubelet's name of a pod that it made of a file. */
	if (m->pod && m->pod->config_hash)
		uid = m->pod->config_hash;
	switch (i) {
	case 0:
		*out = '\0';
		if (m->id && is_docker(m))
			snprintf(out, PATH_MAX_BYTES, "/var/lib/docker/containers/%s/%s-json.log",
				 id, id);
		return true;
	case 1:
		snprintf(out, PATH_MAX_BYTES, "/var/log/pods/%s_%s_%s/%s/0.log",
			 known(preset__namespace(m)), pod, known(uid), container);
		return in_pod(m);
	case 2:
		snprintf(out, PATH_MAX_BYTES, "/var/log/containers/%s_%s_%s-%s.log", pod,
			 known(preset__namespace(m)), container, id);
		return true;
	default:
		return false;
	}
}

static const char *label(const struct config_static *s, const char *name)
{
	for (size_t i = 0; i < s->labels.n; i++)
		if (!strcmp(s->labels.items[i].name, name))
			return s->labels.items[i].value;
	return NULL;
}

static bool found_by_path(const struct config_static *s, const struct meta *m)
{
	const char *wanted = label(s, "__path__"), *excluded = label(s, "__path_exclude__");
	char path[PATH_MAX_BYTES];

	for (size_t i = 0; s->containers && wanted && log_path(m, i, path); i++)
		if (*path && glob__match(wanted, path) &&
		    !(excluded && glob__match(excluded, path)))
			return true;
	return false;
}

bool job__selects(const struct config_job *job, const struct meta *m,
		  const struct config_static **ret_static)
{
	const struct config_docker_sd *docker = job->docker_sd_configs.items;
	const struct config_kubernetes_sd *kubernetes = job->kubernetes_sd_configs.items;
	const struct config_static *statics = job->static_configs.items;
	const struct config_static *by = NULL;
	bool found = !job->job_name;

	for (size_t i = 0; !found && i < job->docker_sd_configs.n; i++)
		found = found_by_docker(&docker[i], m);
	for (size_t i = 0; !found && i < job->kubernetes_sd_configs.n; i++)
		found = found_by_kubernetes(&kubernetes[i], m);
	for (size_t i = 0; !found && i < job->static_configs.n; i++) {
		found = found_by_path(&statics[i], m);
		by = &statics[i];
	}
	if (found && ret_static)
		*ret_static = by;
	return found;
}

int job__static_labels(const struct config_static *s, struct label_list *labels)
{
	int err = 0;

	for (size_t i = 0; !err && i < s->labels.n; i++)
		err = label_list__set(labels, s->labels.items[i].name, s->labels.items[i].value);
	return err;
}
