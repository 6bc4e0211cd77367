/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod as its API object describes it. Immutable once it is handed on and reference-counted
 * (atomic): the metadata of its containers and their lines share it.
 *
 * Field names and what they are for:
 * https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod
 */
#ifndef NOTAIL_CONTAINERS_POD_H
#define NOTAIL_CONTAINERS_POD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "containers/meta.h"

#define POD_VALUE_MAX 1024
#define POD_BYTES_MAX 8192

enum pod_container_kind {
	POD_CONTAINER,
	POD_CONTAINER_INIT, /* sidecars too: they are init containers that are restarted */
	POD_CONTAINER_EPHEMERAL,
};

struct pod_port {
	char *name; /* NULL: none */
	uint16_t number;
	char *protocol; /* "TCP", ...; NULL: not known */
};

struct pod_container {
	char *name;
	enum pod_container_kind kind;
	char *id;    /* without the runtime's "containerd://"; NULL: not started */
	char *image; /* of the spec */
	struct pod_port *ports;
	size_t n_ports;
};

struct pod {
	unsigned refs;
	char *uid;
	char *namespace;
	char *name;
	/* All that is known of it a bundle says: nothing of its controller, its containers' kinds.
	 */
	bool from_bundle;
	char *config_hash; /* of a static pod: the uid in its cgroups and bundles; else NULL */
	char *node_name;   /* NULL: not known; likewise all below */
	char *host_ip;
	char *ip;
	char *phase;
	char *ready; /* "true", "false", "unknown" */
	char *controller_kind;
	char *controller_name;
	struct meta_label *labels;
	size_t n_labels;
	struct meta_label *annotations;
	size_t n_annotations;
	size_t labels_bytes, annotations_bytes;
	struct pod_container *containers;
	size_t n_containers;
};

/* An empty one, one reference. NULL: no memory. */
struct pod *pod__new(void);
struct pod *pod__ref(struct pod *p);
void pod__unref(struct pod *p); /* NULL is fine */
/*
 * Copy both strings. What has a value over POD_VALUE_MAX bytes, and what is over POD_BYTES_MAX
 * bytes of labels or of annotations, is left out, as is what kubectl applied last: each container's
 * metadata is written down for a next run. Only before it is handed on. 0 or -ENOMEM.
 */
int pod__add_label(struct pod *p, const char *name, const char *value);
int pod__add_annotation(struct pod *p, const char *name, const char *value);
/* Copies the name; the rest is the caller's to set. The next call may move it. NULL: no memory. */
struct pod_container *pod__add_container(struct pod *p, const char *name);
/* Copies both strings; they may be NULL. 0 or -ENOMEM. */
int pod_container__add_port(struct pod_container *c, const char *name, uint16_t number,
			    const char *protocol);
/* Says the same; NULLs are the same as each other. */
bool pod__same(const struct pod *a, const struct pod *b);
/* Of its containers only that of this name counts; NULL: none does. */
bool pod__same_for(const struct pod *a, const struct pod *b, const char *container);
/* NULL: no such label, annotation, container. */
const char *pod__label(const struct pod *p, const char *name);
const char *pod__annotation(const struct pod *p, const char *name);
const struct pod_container *pod__container(const struct pod *p, const char *name);

static inline void pod__unref_p(struct pod **p)
{
	pod__unref(*p);
}
#define _pod_ __attribute__((cleanup(pod__unref_p)))

#endif
