/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: kubernetes [CHANGES]
 * A node of 110 pods with 3 containers each: a list of them (5 MB) as bytes of an answer, and pods
 * that change, one at a time, as lines of a watch, to what their containers' next lines are
 * labelled with and what is journalled of it. This thread's time by part, and memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "containers/json_stream.h"
#include "containers/pod.h"
#include "containers/pods.h"
#include "kube/items.h"
#include "kube/json_walk.h"
#include "kube/pod_json.h"
#include "process/discovered.h"
#include "process/preset.h"
#include "state/meta_record.h"

#define PODS 110
#define CONTAINERS 3
#define A_SECOND 30 /* changes */
#define CHANGES 3000
#define PIECE 16384 /* as libcurl hands them over */
#define ROUNDS 20
#define POD_BYTES 46000

static struct registry *registry;
static struct pods *pods;

static void fail(const char *what)
{
	fprintf(stderr, "kubernetes: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
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

static void uid_of(unsigned pod, char uid[64])
{
	snprintf(uid, 64, "3788fff1-c63b-470f-97b6-%012u", pod);
}

static void id_of(unsigned pod, unsigned container, char id[65])
{
	snprintf(id, 65, "%064x", pod * CONTAINERS + container + 1);
}

static void put_containers(struct buf *b, size_t start)
{
	for (unsigned c = 0; c < CONTAINERS; c++) {
		size_t until = start + POD_BYTES / 2 + (c + 1) * POD_BYTES / 8;

		buf__printf(
			b,
			"%s{\"name\":\"c%u\",\"image\":\"r.example/web:1\",\"ports\":[{\"name\":"
			"\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[",
			c ? "," : "", c);
		for (unsigned n = 0; b->len < until; n++)
			buf__printf(b, "%s{\"name\":\"NAME_%u\",\"value\":\"value of it %u\"}",
				    n ? "," : "", n, n);
		buf__append_str(b, "]}");
	}
}

static void put_status(struct buf *b, size_t start, unsigned i)
{
	char id[65];

	buf__append_str(b, "\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"conditions\":[{"
			   "\"type\":\"Ready\",\"status\":\"True\"}],\"containerStatuses\":[");
	for (unsigned c = 0; c < CONTAINERS; c++) {
		id_of(i, c, id);
		buf__printf(b, "%s{\"name\":\"c%u\",\"containerID\":\"containerd://%s\"}",
			    c ? "," : "", c, id);
	}
	buf__append_str(b, "],\"x\":\"");
	while (b->len - start < POD_BYTES)
		buf__append_str(b, "something that a status says besides; ");
	buf__append_str(b, "\"");
}

/* A pod of three containers, half of it managedFields, as grown ones are. */
static void put_pod(struct buf *b, unsigned i, unsigned version, unsigned tier)
{
	size_t start = b->len;
	char uid[64];

	uid_of(i, uid);
	buf__printf(b,
		    "{\"metadata\":{\"name\":\"web-6d45d4ccfb-%05u\",\"namespace\":\"shop\","
		    "\"uid\":\"%s\",\"resourceVersion\":\"%u\",\"labels\":{\"app\":\"web\","
		    "\"tier\":\"%u\",\"pod-template-hash\":\"6d45d4ccfb\"},\"annotations\":{"
		    "\"prometheus.io/scrape\":\"true\"},\"ownerReferences\":[{\"kind\":"
		    "\"ReplicaSet\",\"name\":\"web-6d45d4ccfb\",\"controller\":true}],"
		    "\"managedFields\":[{\"manager\":\"kubelet\",\"fieldsV1\":{",
		    i, uid, version + 1, tier);
	for (unsigned n = 0; b->len - start < POD_BYTES / 2; n++)
		buf__printf(b, "%s\"k:{\\\"type\\\":\\\"Type%u\\\"}\":{\".\":{},\"f:type\":{}}",
			    n ? "," : "", n);
	buf__append_str(b, "}}]},\"spec\":{\"nodeName\":\"node-1\",\"containers\":[");
	put_containers(b, start);
	buf__append_str(b, "]},\"status\":{");
	put_status(b, start, i);
	buf__append_str(b, "}}");
}

static void add_container(unsigned n, unsigned container)
{
	struct meta *m = meta__new();
	char id[65], name[8], pod[32], path[256], uid[64];

	id_of(n, container, id);
	uid_of(n, uid);
	snprintf(name, sizeof(name), "c%u", container);
	snprintf(pod, sizeof(pod), "web-6d45d4ccfb-%05u", n);
	m->engine = strdup("containerd");
	m->id = strdup(id);
	m->name = strdup(name);
	m->image = strdup("r.example/web:1");
	m->detailed = true;
	m->pod_uid = strdup(uid);
	meta__add_label(m, META_POD_NAMESPACE_LABEL, "shop");
	meta__add_label(m, META_POD_NAME_LABEL, pod);
	meta__add_label(m, META_POD_UID_LABEL, uid);
	meta__add_label(m, META_POD_CONTAINER_LABEL, name);
	snprintf(path, sizeof(path), "/kubepods/burstable/pod%s/%s", uid, id);
	if (registry__cgroup_new(registry, n * CONTAINERS + container + 1, path, strlen(path)) ||
	    pods__container(pods, m))
		fail("no memory");
}

static void take(void *ctx, const char *json, size_t len)
{
	struct pod *pod;

	if (pod_json__parse(json, len, &pod) != 0 || pods__put(ctx, pod) != 0)
		fail("a pod is none");
}

static void bench_list(void)
{
	_buf_ struct buf list = {0};
	struct kube_items items = {0};
	uint64_t began_ns, best_ns = UINT64_MAX;

	buf__append_str(&list, "{\"kind\":\"PodList\",\"items\":[");
	for (unsigned i = 0; i < PODS; i++) {
		buf__append(&list, ",", i ? 1 : 0);
		put_pod(&list, i, 0, 0);
	}
	buf__append_str(&list, "]}");
	for (int round = 0; round < ROUNDS; round++) {
		began_ns = cpu_ns();
		kube_items__begin(&items, KUBE_ITEM_BYTES);
		pods__list_begin(pods);
		for (size_t at = 0; at < list.len; at += PIECE)
			if (kube_items__feed(&items, list.data + at, MIN(PIECE, list.len - at),
					     take, pods) != 0)
				fail("the list is none");
		if (kube_items__end(&items) != 0)
			fail("the list does not end");
		pods__list_end(pods);
		best_ns = MIN(best_ns, cpu_ns() - began_ns);
		kube_items__free(&items);
	}
	printf("a list of %zu pods, %.1f MB: %.1f ms\n", pods__count(pods), (double)list.len / 1e6,
	       (double)best_ns / 1e6);
}

/* The object is the last member. */
static void take_change(void *ctx, const char *json, size_t len)
{
	struct json_walk w = json_walk__object((struct json_span){json, len});
	struct json_span key;

	while (json_walk__next(&w, &key) && !json_span__is(key, "object"))
		;
	take(ctx, w.value, (size_t)(json + len - 1 - w.value));
}

/* As the capture thread does before the next line; what a container's record takes. */
static size_t label(unsigned n, unsigned container)
{
	static const struct discovered_opts opts = {.host = "node-1"};
	static const struct preset_opts preset = {.preset = PRESET_KUBERNETES, .host = "node-1"};
	_meta_ struct meta *m = NULL;
	_label_set_ struct label_set *set = NULL;
	_buf_ struct buf record = {0};
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	unsigned missing;
	size_t n_own;

	if (registry__lookup(registry, n * CONTAINERS + container + 1, &m) != REGISTRY_KNOWN ||
	    !m->pod || preset__add(&l, &preset, m, LINE_STDOUT) ||
	    discovered__add(&l, m, LINE_STDOUT, &opts) ||
	    preset__build(&l, &preset, m, LINE_STDOUT, &missing, &n_own, &set) ||
	    label_set__seal(set) || meta_record__write(&record, m))
		fail("a container without its labels");
	arena__free(&arena);
	return record.len;
}

static void bench_changes(const char *what, unsigned changes, bool of_labels)
{
	struct json_stream stream = {.max_bytes = KUBE_ITEM_BYTES};
	uint64_t read_ns = 0, label_ns = 0, began_ns;
	_buf_ struct buf line = {0};
	size_t journalled = 0;

	for (unsigned i = 1; i <= changes; i++) {
		line.len = 0;
		buf__append_str(&line, "{\"type\":\"MODIFIED\",\"object\":");
		put_pod(&line, i % PODS, i, of_labels ? i : 0);
		buf__append_str(&line, "}\n");
		began_ns = cpu_ns();
		for (size_t at = 0; at < line.len; at += PIECE)
			if (json_stream__feed(&stream, line.data + at, MIN(PIECE, line.len - at),
					      take_change, pods) != 0)
				fail("a change is none");
		read_ns += cpu_ns() - began_ns;
		began_ns = cpu_ns();
		for (unsigned c = 0; c < CONTAINERS && of_labels; c++)
			journalled += label(i % PODS, c);
		label_ns += cpu_ns() - began_ns;
	}
	json_stream__reset(&stream);
	printf("a change %s: %.0f us to read, %.0f us to label, %zu bytes journalled; %d a second: "
	       "%.2f %% of a core\n",
	       what, (double)read_ns / changes / 1e3, (double)label_ns / changes / 1e3,
	       journalled / changes, A_SECOND,
	       (double)(read_ns + label_ns) / changes * A_SECOND / 1e7);
}

int main(int argc, char **argv)
{
	unsigned changes = argc > 1 ? (unsigned)atoi(argv[1]) : CHANGES;
	double resident, built;

	if (registry__new(&registry) || pods__new(&pods, registry))
		fail("no memory");
	pods__source(pods, true);
	bench_list();
	resident = resident_mib();
	for (unsigned n = 0; n < PODS; n++)
		for (unsigned c = 0; c < CONTAINERS; c++)
			add_container(n, c);
	built = resident_mib();
	bench_changes("of a status", changes, false);
	bench_changes("of a label", changes, true);
	printf("%d containers: %.1f MiB; after the changes %.1f MiB more\n", PODS * CONTAINERS,
	       built - resident, resident_mib() - built);
	pods__free(pods);
	registry__free(registry);
	return EXIT_SUCCESS;
}
