/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of one container. Immutable once published and reference-counted (atomic), for
 * lines and batches may outlive the container: a change makes a new one with a higher version.
 */
#ifndef NOTAIL_CONTAINERS_META_H
#define NOTAIL_CONTAINERS_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the labels of a pod's container are called, whatever engine's bundle they come from. */
#define META_POD_NAMESPACE_LABEL "io.kubernetes.pod.namespace"
#define META_POD_NAME_LABEL "io.kubernetes.pod.name"
#define META_POD_UID_LABEL "io.kubernetes.pod.uid"
#define META_POD_CONTAINER_LABEL "io.kubernetes.container.name"

struct meta_label {
	char *name;
	char *value;
};

/* Lists of them, which grow one by one. Strings are copied. 0 or -ENOMEM. */
int meta_labels__add(struct meta_label **labels, size_t *n_labels, const char *name,
		     const char *value);
void meta_labels__free(struct meta_label *labels, size_t n);
/* In the same order. */
bool meta_labels__same(const struct meta_label *a, size_t n_a, const struct meta_label *b,
		       size_t n_b);
/* NULL: none of that name. */
const char *meta_labels__value(const struct meta_label *labels, size_t n, const char *name);

/* What the engine says of a network: shared by its containers, reference-counted (atomic). */
struct meta_network {
	unsigned refs;
	char *id;
	char *name;  /* NULL: not known */
	char *scope; /* NULL: not known */
	bool internal, ingress;
	struct meta_label *labels;
	size_t n_labels;
};

/* The one that stands for all of a container's: the lowest, its first published address. */
struct meta_port {
	uint16_t inside;  /* 0: none */
	uint16_t outside; /* 0: not published */
	char *outside_ip; /* NULL: none */
};

struct pod;

/* Of who tells of pods, but the engine. */
enum meta_pod_state {
	META_POD_UNASKED, /* there is nobody, or it is in no pod */
	META_POD_AWAITED,
	META_POD_NOT_SAID, /* it is away: `pod` is what was known before */
	META_POD_KNOWN,
};

struct meta {
	unsigned refs;
	uint64_t version; /* unique for each published snapshot of a process' life */
	char *engine;	  /* "docker", ...; NULL: not known */
	char *id;	  /* container id; NULL: not known */
	char *name;	  /* without a leading slash; NULL: not known */
	char *image;	  /* as the engine prints it; NULL: not known */
	char *image_id;	  /* NULL: not known */
	/* Networks and ports are said, or not: by an event, or before they were made. */
	bool detailed;
	bool over;		      /* it has ended: it has no networks any more */
	char *network_mode;	      /* NULL: not known */
	char *network_of;	      /* id of the container whose networks it has; NULL: its own */
	char *network_name;	      /* of the first network by name; NULL: none */
	char *network_id;	      /* NULL: none */
	char *network_ip;	      /* NULL: none */
	struct meta_network *network; /* network_id's; NULL: nothing is known of it */
	struct meta_port port;
	char *cgroup_path; /* NULL: not known */
	char *pod_uid;	   /* NULL: none */
	char *outer_id;	   /* of the container around it; NULL: none */
	struct pod *pod;   /* what the cluster says of its pod; NULL: nothing yet */
	enum meta_pod_state pod_state;
	struct meta_label *labels; /* the engine's */
	size_t n_labels;
};

/* An empty one, one reference. NULL: no memory. */
struct meta *meta__new(void);
struct meta *meta__ref(struct meta *m);
void meta__unref(struct meta *m); /* NULL is fine */
/* One of its strings; NULL changes nothing. 0 or -ENOMEM. */
int meta__copy_string(char **ret, const char *s);
/* Copies both strings. Only before publishing. 0 or -ENOMEM. */
int meta__add_label(struct meta *m, const char *name, const char *value);
/* In place of the pod that it has. A static pod's uid becomes that of its API object, in the
 * labels. Takes a reference; `p` may be NULL. Only before publishing. 0 or -ENOMEM. */
int meta__set_pod(struct meta *m, struct pod *p, enum meta_pod_state state);
/* Copies all that an engine says: not the cgroup's path, the pod's uid, the container around it,
 * nor the version. `to` has none of it yet. 0 or -ENOMEM. */
int meta__copy(struct meta *to, const struct meta *from);
/* Copies what is said of networks, but for the mode and whose they are, in place of what `to` has
 * of it. 0 or -ENOMEM. */
int meta__copy_networks(struct meta *to, const struct meta *from);
/* An engine says the same with both. */
bool meta__same(const struct meta *a, const struct meta *b);
/* NULL: no such label. */
const char *meta__label(const struct meta *m, const char *name);

/* An empty one, one reference. NULL: no memory. */
struct meta_network *meta_network__new(void);
struct meta_network *meta_network__ref(struct meta_network *n);
void meta_network__unref(struct meta_network *n); /* NULL is fine */
/* As meta__add_label. */
int meta_network__add_label(struct meta_network *n, const char *name, const char *value);

static inline void meta__unref_p(struct meta **m)
{
	meta__unref(*m);
}
#define _meta_ __attribute__((cleanup(meta__unref_p)))

#endif
