/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: pods [CHANGES]
 * A node of 110 pods with 3 containers each, of which one pod changes at a time: what a change
 * costs from its JSON to what its containers' next lines are labelled with and what is journalled
 * of it, and how much memory the node takes.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "containers/pods.h"
#include "kube/pod_json.h"
#include "process/discovered.h"
#include "process/preset.h"
#include "state/meta_record.h"

#define PODS 110
#define CONTAINERS 3
#define A_SECOND 30 /* changes */

static struct registry *registry;
static struct pods *pods;
static json_t *template;

static void fail(const char *what)
{
	fprintf(stderr, "pods: %s\n", what);
	exit(1);
}

static void read_template(void)
{
	json_t *list = json_load_file("tests/data/kubernetes/pods-list.json", 0, NULL), *item;
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, item)
	{
		json_t *labels = json_object_get(json_object_get(item, "metadata"), "labels");

		if (json_object_get(labels, "pod-template-hash"))
			template = json_incref(item);
	}
	json_decref(list);
	if (!template)
		fail("no recorded pod of a Deployment");
}

static void id_of(unsigned pod, unsigned container, char id[65])
{
	snprintf(id, 65, "%064x", pod * CONTAINERS + container + 1);
}

static struct pod *make_pod(unsigned n, unsigned tier)
{
	json_t *meta = json_object_get(template, "metadata");
	json_t *labels = json_object_get(meta, "labels");
	char text[64];
	struct pod *p;
	char *json;

	snprintf(text, sizeof(text), "%08x-9f55-44f1-a058-967fb35b0e91", n);
	json_object_set_new(meta, "uid", json_string(text));
	snprintf(text, sizeof(text), "%u", tier);
	json_object_set_new(labels, "tier", json_string(text));
	json = json_dumps(template, 0);
	if (!json || pod_json__parse(json, strlen(json), &p) != 0)
		fail("a recorded pod is none");
	free(json);
	return p;
}

static void add_container(unsigned n, unsigned container)
{
	struct meta *m = meta__new();
	char id[65], path[256];

	id_of(n, container, id);
	m->engine = strdup("containerd");
	m->id = strdup(id);
	m->name = strdup("web");
	m->image = strdup("localhost/demo/busybox:1");
	m->detailed = true;
	if (asprintf(&m->pod_uid, "%08x-9f55-44f1-a058-967fb35b0e91", n) < 0)
		fail("no memory");
	meta__add_label(m, META_POD_NAMESPACE_LABEL, "demo");
	meta__add_label(m, META_POD_NAME_LABEL, "web-6d45d4ccfb-9w4l7");
	meta__add_label(m, META_POD_UID_LABEL, m->pod_uid);
	meta__add_label(m, META_POD_CONTAINER_LABEL, "web");
	snprintf(path, sizeof(path), "/kubepods/burstable/pod%s/%s", m->pod_uid, id);
	if (registry__cgroup_new(registry, n * CONTAINERS + container + 1, path, strlen(path)) ||
	    pods__container(pods, m))
		fail("no memory");
}

/* As the capture thread does before the next line. */
static size_t look_up(unsigned n)
{
	static const struct discovered_opts opts = {.host = "node-1"};
	static const struct preset_opts preset = {.preset = PRESET_KUBERNETES, .host = "node-1"};
	size_t journalled = 0;

	for (unsigned c = 0; c < CONTAINERS; c++) {
		_meta_ struct meta *m = NULL;
		_label_set_ struct label_set *set = NULL;
		_buf_ struct buf record = {0};
		struct arena arena = {0};
		struct label_list l = {.arena = &arena};
		unsigned missing;
		size_t n_own;

		if (registry__lookup(registry, n * CONTAINERS + c + 1, &m) != REGISTRY_KNOWN ||
		    !m->pod || preset__add(&l, &preset, m, LINE_STDOUT) ||
		    discovered__add(&l, m, LINE_STDOUT, &opts) ||
		    preset__build(&l, &preset, m, LINE_STDOUT, &missing, &n_own, &set) ||
		    label_set__seal(set) || meta_record__write(&record, m))
			fail("a container without its labels");
		journalled += record.len;
		arena__free(&arena);
	}
	return journalled;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		fail("/proc/self/statm");
	fclose(f);
	return (double)pages * 4096 / (1 << 20);
}

int main(int argc, char **argv)
{
	unsigned changes = argc > 1 ? (unsigned)atoi(argv[1]) : 3000;
	double resident, built, begun, seconds;
	size_t journalled = 0;

	if (registry__new(&registry) || pods__new(&pods, registry))
		fail("no memory");
	read_template();
	pods__source(pods, true);
	resident = resident_mib();
	for (unsigned n = 0; n < PODS; n++) {
		if (pods__put(pods, make_pod(n, 0)))
			fail("no memory");
		for (unsigned c = 0; c < CONTAINERS; c++)
			add_container(n, c);
	}
	built = resident_mib();
	begun = cpu_seconds();
	for (unsigned i = 0; i < changes; i++) {
		if (pods__put(pods, make_pod(i % PODS, i + 1)))
			fail("no memory");
		journalled += look_up(i % PODS);
	}
	seconds = cpu_seconds() - begun;
	printf("%u pods of %u containers: %.1f MiB\n", PODS, CONTAINERS, built - resident);
	printf("%u changes: %.0f us each, %.2f %% of a core at %u a second, %zu bytes journalled\n",
	       changes, seconds / changes * 1e6, seconds / changes * A_SECOND * 100, A_SECOND,
	       journalled / changes);
	printf("after them: %.1f MiB more\n", resident_mib() - built);
	pods__free(pods);
	registry__free(registry);
	json_decref(template);
	return 0;
}
