/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster costs: a list of 110 pods (5 MB) as bytes of an answer, to pods that are put; and
 * pods that change, as lines of a watch. This thread's time, and the process' memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "containers/json_stream.h"
#include "containers/pod.h"
#include "containers/pods.h"
#include "kube/items.h"
#include "kube/json_walk.h"
#include "kube/pod_json.h"

#define PODS 110
#define PIECE 16384 /* as libcurl hands them over */
#define CHANGES 3000
#define ROUNDS 20
#define POD_BYTES 46000

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* A pod of three containers, half of it managedFields, as grown ones are. */
static void put_pod(struct buf *b, unsigned i, unsigned change)
{
	size_t start = b->len;

	buf__printf(
		b,
		"{\"metadata\":{\"name\":\"web-6d45d4ccfb-%05u\",\"namespace\":\"shop\",\"uid\":"
		"\"3788fff1-c63b-470f-97b6-%012u\",\"resourceVersion\":\"%u\",\"labels\":{"
		"\"app\":\"web\",\"change\":\"%u\",\"pod-template-hash\":\"6d45d4ccfb\"},"
		"\"annotations\":{\"prometheus.io/scrape\":\"true\"},\"ownerReferences\":[{"
		"\"kind\":\"ReplicaSet\",\"name\":\"web-6d45d4ccfb\",\"controller\":true}],"
		"\"managedFields\":[{\"manager\":\"kubelet\",\"fieldsV1\":{",
		i, i, change + 1, change);
	for (unsigned n = 0; b->len - start < POD_BYTES / 2; n++)
		buf__printf(b, "%s\"k:{\\\"type\\\":\\\"Type%u\\\"}\":{\".\":{},\"f:type\":{}}",
			    n ? "," : "", n);
	buf__append_str(b, "}}]},\"spec\":{\"nodeName\":\"node-1\",\"containers\":[");
	for (unsigned c = 0; c < 3; c++) {
		buf__printf(
			b,
			"%s{\"name\":\"c%u\",\"image\":\"r.example/web:1\",\"ports\":[{\"name\":"
			"\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[",
			c ? "," : "", c);
		for (unsigned n = 0; b->len - start < POD_BYTES / 2 + (c + 1) * POD_BYTES / 8; n++)
			buf__printf(b, "%s{\"name\":\"NAME_%u\",\"value\":\"value of it %u\"}",
				    n ? "," : "", n, n);
		buf__append_str(b, "]}");
	}
	buf__append_str(b, "]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\","
			   "\"containerStatuses\":[");
	for (unsigned c = 0; c < 3; c++)
		buf__printf(b, "%s{\"name\":\"c%u\",\"containerID\":\"containerd://%064u\"}",
			    c ? "," : "", c, i * 3 + c);
	buf__append_str(b, "],\"x\":\"");
	while (b->len - start < POD_BYTES)
		buf__append_str(b, "something that a status says besides; ");
	buf__append_str(b, "\"}}");
}

static void take(void *ctx, const char *json, size_t len)
{
	struct pod *pod;

	if (pod_json__parse(json, len, &pod) != 0 || pods__put(ctx, pod) != 0)
		abort();
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

static void bench_list(struct pods *pods)
{
	_buf_ struct buf list = {0};
	struct kube_items items = {0};
	uint64_t began_ns, best_ns = UINT64_MAX;

	buf__append_str(&list, "{\"kind\":\"PodList\",\"items\":[");
	for (unsigned i = 0; i < PODS; i++) {
		buf__append(&list, ",", i ? 1 : 0);
		put_pod(&list, i, 0);
	}
	buf__append_str(&list, "]}");
	for (int round = 0; round < ROUNDS; round++) {
		began_ns = cpu_ns();
		kube_items__begin(&items, KUBE_ITEM_BYTES);
		pods__list_begin(pods);
		for (size_t at = 0; at < list.len; at += PIECE)
			if (kube_items__feed(&items, list.data + at, MIN(PIECE, list.len - at),
					     take, pods) != 0)
				abort();
		if (kube_items__end(&items) != 0)
			abort();
		pods__list_end(pods);
		best_ns = MIN(best_ns, cpu_ns() - began_ns);
		kube_items__free(&items);
	}
	printf("list of %zu pods, %.1f MB: %.1f ms\n", pods__count(pods), (double)list.len / 1e6,
	       (double)best_ns / 1e6);
}

static void bench_changes(struct pods *pods)
{
	struct json_stream stream = {.max_bytes = KUBE_ITEM_BYTES};
	_buf_ struct buf line = {0};
	uint64_t spent_ns = 0;

	for (unsigned change = 1; change <= CHANGES; change++) {
		uint64_t began_ns;

		line.len = 0;
		buf__append_str(&line, "{\"type\":\"MODIFIED\",\"object\":");
		put_pod(&line, change % PODS, change);
		buf__append_str(&line, "}\n");
		began_ns = cpu_ns();
		for (size_t at = 0; at < line.len; at += PIECE)
			if (json_stream__feed(&stream, line.data + at, MIN(PIECE, line.len - at),
					      take_change, pods) != 0)
				abort();
		spent_ns += cpu_ns() - began_ns;
	}
	json_stream__reset(&stream);
	printf("a change: %.0f us; 30 a second: %.2f %% of a core\n",
	       (double)spent_ns / CHANGES / 1e3, (double)spent_ns / CHANGES * 30 / 1e7);
}

int main(void)
{
	struct registry *registry;
	struct pods *pods;
	struct rusage usage;

	if (registry__new(&registry) != 0 || pods__new(&pods, registry) != 0)
		return EXIT_FAILURE;
	bench_list(pods);
	bench_changes(pods);
	getrusage(RUSAGE_SELF, &usage);
	printf("memory, with the list's text in it: %.1f MB\n", (double)usage.ru_maxrss / 1024);
	pods__free(pods);
	registry__free(registry);
	return EXIT_SUCCESS;
}
