/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container asks for itself: by annotations of its pod, or by labels of its own that a
 * Docker-compatible engine has. What names the container (-CONTAINER) comes before what does not.
 *
 * notail.io/exclude[-CONTAINER]    true: nothing of it is wanted
 * fluentbit.io/exclude[_stdout|_stderr][-CONTAINER], vector.dev/exclude (a pod's label too) and
 * vector.dev/exclude-containers (names, by commas): as those agents have them
 * notail.io/preset[-CONTAINER]     a preset's name, but none: its lines would be nobody's
 * notail.io/tenant[-CONTAINER]     Loki's tenant, where the operator allows it
 * notail.io/multiline[-CONTAINER]  asked_multiline's pattern
 *
 * Values are anybody's, any bytes: what is not understood is a problem, and left out.
 */
#ifndef NOTAIL_PROCESS_ASKED_H
#define NOTAIL_PROCESS_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/line.h"
#include "base/regex.h"
#include "config/config.h"
#include "containers/meta.h"

#define ASKED_PROBLEMS_MAX 3

/* Static texts, but for the value. */
struct asked_problem {
	const char *key, *value, *why;
};

/* Borrowed from the metadata. */
struct asked {
	int preset;	     /* enum config_preset; -1: it does not ask */
	const char *tenant;  /* NULL: it does not ask */
	const char *pattern; /* likewise */
	struct asked_problem problems[ASKED_PROBLEMS_MAX];
	size_t n_problems;
};

/* Why the stream is not wanted, a key; NULL: it is. Static. */
const char *asked__excluded(const struct meta *m, enum line_stream stream);
/* `tenants`: globs of those that may be asked for. 0 or -ENOMEM. */
int asked__read(const struct meta *m, const struct string_list *tenants, struct asked *ret);

/*
 * Which lines are one: `pattern` is a name (indented, java, python, go, node, dotnet, ruby), whose
 * expression fits the lines that go on with the one before, or an expression that fits a block's
 * first line, at its beginning. *ret_continues: the former. An expression of a stranger: its size
 * is bounded, and so is what a match may cost. -EINVAL: *ret_why says why, static; -ENOMEM.
 */
int asked_multiline__new(struct regex **ret, const char *pattern, bool *ret_continues,
			 const char **ret_why);
/* So much of a line is looked at, bytes. */
#define ASKED_MULTILINE_BYTES 256

/* Who was told of a problem already. Bounded: the oldest is told again. */
struct asked_told {
	uint64_t hashes[256];
	size_t next;
};

/* True, the first time for this pod (or container) and problem. */
bool asked_told__first(struct asked_told *t, const struct meta *m, const struct asked_problem *p);

#endif
