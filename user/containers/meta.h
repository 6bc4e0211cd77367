/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of one container. Immutable once published and reference-counted (atomic), for
 * lines and batches may outlive the container: a change makes a new one with a higher version.
 */
#ifndef NOTAIL_CONTAINERS_META_H
#define NOTAIL_CONTAINERS_META_H

#include <stddef.h>
#include <stdint.h>

struct meta_label {
	char *name;
	char *value;
};

struct meta {
	unsigned refs;
	uint64_t version;	   /* unique for each published snapshot of a process' life */
	char *engine;		   /* "docker", ...; NULL: not known */
	char *id;		   /* container id; NULL: not known */
	char *name;		   /* without a leading slash; NULL: not known */
	char *image;		   /* as the engine prints it; NULL: not known */
	char *cgroup_path;	   /* NULL: not known */
	char *pod_uid;		   /* NULL: none */
	char *outer_id;		   /* of the container around it; NULL: none */
	struct meta_label *labels; /* the engine's */
	size_t n_labels;
};

/* An empty one, one reference. NULL: no memory. */
struct meta *meta__new(void);
struct meta *meta__ref(struct meta *m);
void meta__unref(struct meta *m); /* NULL is fine */
/* Copies both strings. Only before publishing. 0 or -ENOMEM. */
int meta__add_label(struct meta *m, const char *name, const char *value);
/* NULL: no such label. */
const char *meta__label(const struct meta *m, const char *name);

static inline void meta__unref_p(struct meta **m)
{
	meta__unref(*m);
}
#define _meta_ __attribute__((cleanup(meta__unref_p)))

#endif
