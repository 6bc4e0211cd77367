/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Deployment's ReplicaSet is NAME-HASH, and its pods have HASH as a label. HASH is a number of 32
 * bits in decimal, each digit written as one of ten characters; below eight of them it could be a
 * word. A CronJob's Job is NAME-MINUTES, the minutes since 1970 that it was scheduled for. Pods of
 * either end in five more characters, of 27 that make no words. A name of 63 characters may be cut:
 * then it says nothing.
 *
 * https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go
 * https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/utils.go
 */
#include "containers/workload.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HASH_CHARACTERS "456789bcdf"
#define RANDOM_CHARACTERS "bcdfghjklmnpqrstvwxz2456789"
#define RANDOM_LEN 5
#define MAX_GENERATED 63
/* The minutes of 2021 and 2046. */
#define MINUTES_MIN "26824320"
#define MINUTES_MAX "39999999"

static void copy(char to[WORKLOAD_NAME_LEN + 1], const char *name, size_t len)
{
	if (len <= WORKLOAD_NAME_LEN)
		snprintf(to, WORKLOAD_NAME_LEN + 1, "%.*s", (int)len, name);
}

/* What follows the last `-` of name's first `len` bytes; 0: there is nothing before or after it. */
static size_t last_part(const char *name, size_t len)
{
	const char *dash = len ? memrchr(name, '-', len) : NULL;

	return dash && dash > name && dash + 1 < name + len ? (size_t)(dash + 1 - name) : 0;
}

static bool is_hash(const char *s, size_t len)
{
	return len >= 8 && len <= 10 && strspn(s, HASH_CHARACTERS) >= len;
}

static bool is_schedule(const char *s, size_t len)
{
	return len == strlen(MINUTES_MIN) && strspn(s, "0123456789") >= len &&
	       memcmp(s, MINUTES_MIN, len) >= 0 && memcmp(s, MINUTES_MAX, len) <= 0;
}

/* Of a Job's name. */
static void take_job(struct workload *w, const char *name, size_t len)
{
	size_t at = last_part(name, len);

	copy(w->job, name, len);
	if (at && is_schedule(name + at, len - at))
		copy(w->cronjob, name, at - 1);
}

static void take_replica_set(struct workload *w, const struct pod *p)
{
	const char *name = p->controller_name, *hash = pod__label(p, "pod-template-hash");
	size_t len = strlen(name), at = last_part(name, len);

	if (at && hash && !strcmp(name + at, hash))
		copy(w->deployment, name, at - 1);
}

static void take_name(struct workload *w, const char *name)
{
	size_t len = strlen(name), random = last_part(name, len), at, owner;

	if (len >= MAX_GENERATED || !random || len - random != RANDOM_LEN ||
	    strspn(name + random, RANDOM_CHARACTERS) != RANDOM_LEN)
		return;
	owner = random - 1;
	at = last_part(name, owner);
	if (!at)
		return;
	if (is_hash(name + at, owner - at)) {
		strcpy(w->controller_kind, "ReplicaSet");
		copy(w->controller_name, name, owner);
		copy(w->deployment, name, at - 1);
	} else if (is_schedule(name + at, owner - at)) {
		strcpy(w->controller_kind, "Job");
		copy(w->controller_name, name, owner);
		take_job(w, name, owner);
	}
}

void workload__of(const struct pod *p, const char *pod_name, struct workload *ret)
{
	*ret = (struct workload){0};
	if (!p || !p->controller_kind || !p->controller_name) {
		/* A source that tells of a pod tells of its controller, too. */
		if (pod_name && (!p || p->from_bundle))
			take_name(ret, pod_name);
		return;
	}
	copy(ret->controller_kind, p->controller_kind, strlen(p->controller_kind));
	copy(ret->controller_name, p->controller_name, strlen(p->controller_name));
	if (!strcmp(p->controller_kind, "ReplicaSet"))
		take_replica_set(ret, p);
	else if (!strcmp(p->controller_kind, "Job"))
		take_job(ret, p->controller_name, strlen(p->controller_name));
}
