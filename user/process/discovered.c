/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus makes a target of each network and port of a container, and Promtail reads the logs of
 * the first: here the first network by name and the lowest port stand for all. A container without
 * a network, which Prometheus leaves out, has the labels that it has. One that joined another's
 * (container:ID) has that one's networks and its own ports, which are none: the registry sees to
 * it. Of a pod's container the first port stands for all likewise; ephemeral containers, which
 * Prometheus leaves out, have the labels that the others have.
 */
#include "process/discovered.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "containers/workload.h"

#define DEFAULT_PORT 80 /* docker_sd's */
#define DOCKER "__meta_docker_"
#define KUBERNETES "__meta_kubernetes_"
#define POD KUBERNETES "pod_"
#define NOTAIL "__meta_notail_"

const char *discovered__stream(enum line_stream stream)
{
	return stream == LINE_STDERR ? "stderr" : "stdout";
}

/* Values may be NULL: nothing is added. */
static int add_all(struct label_list *l, const struct label_pair *pairs, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (pairs[i].value)
			err = label_list__set(l, pairs[i].name, pairs[i].value);
	}
	return err;
}

static int add_labels(struct label_list *l, const char *prefix, const struct meta_label *labels,
		      size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const char *name = label_list__sanitized(l->arena, prefix, labels[i].name);

		err = name ? label_list__set(l, name, labels[i].value) : -ENOMEM;
	}
	return err;
}

/* All of them, and the port when it is not 0. NULL: no memory. */
static const char *text(struct label_list *l, const char *before, const char *middle,
			const char *after, unsigned port)
{
	char digits[12] = "";
	size_t size;
	char *out;

	if (port)
		snprintf(digits, sizeof(digits), "%u", port);
	size = strlen(before) + strlen(middle) + strlen(after) + strlen(digits) + 1;
	out = arena__alloc(l->arena, size);
	if (out)
		snprintf(out, size, "%s%s%s%s", before, middle, after, digits);
	return out;
}

static int add_address(struct label_list *l, const struct meta *m)
{
	const char *ip = m->network_ip ? m->network_ip : "", *address;

	if (m->network_mode && strcmp(m->network_mode, "host") == 0)
		return label_list__set(l, "__address__", "localhost");
	address = strchr(ip, ':') ? text(l, "[", ip, "]:", m->port.inside ?: DEFAULT_PORT)
				  : text(l, "", ip, ":", m->port.inside ?: DEFAULT_PORT);
	return address ? label_list__set(l, "__address__", address) : -ENOMEM;
}

static int add_network(struct label_list *l, const struct meta *m)
{
	const struct meta_network *n = m->network;
	const struct label_pair pairs[] = {
		{DOCKER "network_ip", m->network_ip},
		{DOCKER "network_id", m->network_id},
		{DOCKER "network_name", n && n->name ? n->name : m->network_name},
		{DOCKER "network_scope", n ? n->scope : NULL},
		{DOCKER "network_internal", n ? (n->internal ? "true" : "false") : NULL},
		{DOCKER "network_ingress", n ? (n->ingress ? "true" : "false") : NULL},
	};
	int err;

	if (!m->network_name)
		return 0;
	err = add_all(l, pairs, ARRAY_SIZE(pairs));
	if (!err && n)
		err = add_labels(l, DOCKER "network_label_", n->labels, n->n_labels);
	return err ? err : add_address(l, m);
}

static int add_port(struct label_list *l, const struct meta_port *p)
{
	const char *inside = p->inside ? text(l, "", "", "", p->inside) : "";
	const char *outside = p->outside ? text(l, "", "", "", p->outside) : "";
	const struct label_pair pairs[] = {
		{DOCKER "port_private", inside},
		{DOCKER "port_public", outside},
		{DOCKER "port_public_ip", p->outside_ip},
	};

	return inside && outside ? add_all(l, pairs, ARRAY_SIZE(pairs)) : -ENOMEM;
}

static int add_docker(struct label_list *l, const struct meta *m, enum line_stream stream)
{
	const char *name = m->name ? text(l, "/", m->name, "", 0) : "";
	const struct label_pair pairs[] = {
		{DOCKER "container_id", m->id},
		{DOCKER "container_name", name},
		{DOCKER "container_image", m->image},
		{DOCKER "container_image_id", m->image_id},
		{DOCKER "container_network_mode", m->network_mode},
		{DOCKER "container_log_stream", discovered__stream(stream)},
	};
	int err = name ? add_all(l, pairs, ARRAY_SIZE(pairs)) : -ENOMEM;

	if (!err)
		err = add_labels(l, DOCKER "container_label_", m->labels, m->n_labels);
	if (!err)
		err = add_network(l, m);
	return err ? err : add_port(l, &m->port);
}

/* The fact that it is there is a label of its own. */
static int add_present(struct label_list *l, const char *prefix, const struct meta_label *labels,
		       size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const char *name = label_list__sanitized(l->arena, prefix, labels[i].name);

		err = name ? label_list__set(l, name, "true") : -ENOMEM;
	}
	return err;
}

static int add_pod_lists(struct label_list *l, const struct pod *p)
{
	int err = add_labels(l, POD "label_", p->labels, p->n_labels);

	if (!err)
		err = add_present(l, POD "labelpresent_", p->labels, p->n_labels);
	if (!err)
		err = add_labels(l, POD "annotation_", p->annotations, p->n_annotations);
	if (!err)
		err = add_present(l, POD "annotationpresent_", p->annotations, p->n_annotations);
	return err;
}

/* Copied: these names do not outlive the call. */
static int add_workload(struct label_list *l, const struct pod *p, const char *pod_name)
{
	struct workload w;
	const struct label_pair pairs[] = {
		{POD "controller_kind", w.controller_kind},
		{POD "controller_name", w.controller_name},
		{POD "deployment_name", w.deployment},
		{POD "job_name", w.job},
		{POD "cronjob_name", w.cronjob},
	};
	int err = 0;

	workload__of(p, pod_name, &w);
	for (size_t i = 0; i < ARRAY_SIZE(pairs) && !err; i++)
		if (*pairs[i].value)
			err = label_list__set_copy(l, pairs[i].name, pairs[i].value);
	return err;
}

/* The first of its ports, and where it listens. */
static int add_pod_address(struct label_list *l, const struct pod *p, const struct pod_container *c)
{
	const struct pod_port *port = c && c->n_ports ? &c->ports[0] : NULL;
	const char *ip = p->ip, *address, *number = NULL;
	bool six = ip && strchr(ip, ':');

	if (port)
		number = text(l, "", "", "", port->number);
	if (ip && port)
		address = six ? text(l, "[", ip, "]:", port->number)
			      : text(l, "", ip, ":", port->number);
	else
		address = ip;
	if ((port && !number) || (ip && !address))
		return -ENOMEM;
	return add_all(l,
		       (const struct label_pair[]){
			       {"__address__", address},
			       {POD "container_port_name", port ? port->name : NULL},
			       {POD "container_port_number", number},
			       {POD "container_port_protocol", port ? port->protocol : NULL},
		       },
		       4);
}

static int add_pod(struct label_list *l, const struct pod *p, const struct pod_container *c)
{
	const struct label_pair pairs[] = {
		{POD "ip", p->ip},
		{POD "ready", p->ready},
		{POD "phase", p->phase},
		{POD "host_ip", p->host_ip},
		{POD "node_name", p->node_name},
		{POD "container_image", c ? c->image : NULL},
		{POD "container_init",
		 c && !p->from_bundle ? (c->kind == POD_CONTAINER_INIT ? "true" : "false") : NULL},
	};
	int err = add_all(l, pairs, ARRAY_SIZE(pairs));

	if (!err)
		err = add_pod_lists(l, p);
	return err ? err : add_pod_address(l, p, c);
}

/* The config hash of a pod that the kubelet made of a file, which is the uid that bundles have. */
static const char *config_hash(const struct meta *m)
{
	const char *uid = meta__label(m, META_POD_UID_LABEL);

	if (m->pod && m->pod->config_hash)
		return m->pod->config_hash;
	return uid && strlen(uid) == 32 && strspn(uid, "0123456789abcdef") == 32 ? uid : NULL;
}

/* The API server's object of such a pod has both; rules tell static pods by them. */
static int add_static(struct label_list *l, const char *hash)
{
	static const char *const names[][2] = {
		{POD "annotation_kubernetes_io_config_hash",
		 POD "annotationpresent_kubernetes_io_config_hash"},
		{POD "annotation_kubernetes_io_config_mirror",
		 POD "annotationpresent_kubernetes_io_config_mirror"},
	};
	int err = 0;

	for (size_t i = 0; hash && i < ARRAY_SIZE(names) && !err; i++) {
		if (*label_list__get(l, names[i][0]))
			continue;
		err = label_list__set(l, names[i][0], hash);
		if (!err)
			err = label_list__set(l, names[i][1], "true");
	}
	return err;
}

/* What a bundle says; the pod says more, where there is one. */
static int add_kubernetes(struct label_list *l, const struct meta *m,
			  const struct discovered_opts *opts)
{
	const struct pod *p = m->pod;
	const char *pod = meta__label(m, META_POD_NAME_LABEL);
	const char *container = meta__label(m, META_POD_CONTAINER_LABEL);
	const char *id = m->id && m->engine && strcmp(m->engine, "kubernetes")
				 ? text(l, m->engine, "://", m->id, 0)
				 : NULL;
	const struct label_pair pairs[] = {
		{KUBERNETES "namespace", meta__label(m, META_POD_NAMESPACE_LABEL)},
		{POD "name", pod},
		{POD "uid", meta__label(m, META_POD_UID_LABEL)},
		{POD "node_name", opts->node ? opts->node : opts->host},
		{POD "container_name", container},
		{POD "container_id", id},
		{POD "container_image", m->image},
	};
	int err = add_all(l, pairs, ARRAY_SIZE(pairs));

	if (!err)
		err = add_workload(l, p, pod);
	if (!err && p)
		err = add_pod(l, p, container ? pod__container(p, container) : NULL);
	return err ? err : add_static(l, config_hash(m));
}

int discovered__add(struct label_list *l, const struct meta *m, enum line_stream stream,
		    const struct discovered_opts *opts)
{
	const struct label_pair pairs[] = {
		{NOTAIL "engine", m->engine},
		{NOTAIL "container_id", m->id},
		{NOTAIL "container_name", m->name},
		{NOTAIL "image", m->image},
		{NOTAIL "pod_uid", m->pod_uid},
		{NOTAIL "outer_container_id", m->outer_id},
		{NOTAIL "cgroup", m->cgroup_path},
		{NOTAIL "stream", discovered__stream(stream)},
		{NOTAIL "tty", stream == LINE_TTY ? "true" : NULL},
		{NOTAIL "hook_set", opts->hook_set},
		{NOTAIL "host", opts->host},
	};
	int err = add_all(l, pairs, ARRAY_SIZE(pairs));

	if (!err && m->engine &&
	    (strcmp(m->engine, "docker") == 0 || strcmp(m->engine, "podman") == 0))
		err = add_docker(l, m, stream);
	if (!err && meta__label(m, META_POD_NAME_LABEL))
		err = add_kubernetes(l, m, opts);
	return err;
}

bool discovered__needs_details(struct relabel *rules)
{
	static const char *const names[] = {
		DOCKER "network_id",
		DOCKER "network_ip",
		DOCKER "network_name",
		DOCKER "network_scope",
		DOCKER "network_internal",
		DOCKER "network_ingress",
		DOCKER "network_label_a",
		DOCKER "port_private",
		DOCKER "port_public",
		DOCKER "port_public_ip",
		"__address__",
		DOCKER "container_network_mode",
		DOCKER "container_image_id",
	};
	bool reads = relabel__reads(rules, DOCKER "network_label_", true);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		reads |= relabel__reads(rules, names[i], false);
	return reads;
}
