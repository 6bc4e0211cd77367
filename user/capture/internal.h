/* SPDX-License-Identifier: Apache-2.0 */
/* struct capture, for the files of this room only. */
#ifndef NOTAIL_CAPTURE_INTERNAL_H
#define NOTAIL_CAPTURE_INTERNAL_H

#include "event.h"

#include "capture.skel.h"
#include "capture/capture.h"
#include "capture/contexts.h"
#include "capture/pins.h"
#include "capture/ring.h"

#define FORGOTTEN_MAX 256

struct capture {
	struct capture_opts opts;
	struct record_ops ops;
	void *ctx;

	struct capture_bpf *skel; /* owns programs, links and maps */
	struct ring *ring;
	struct contexts *contexts; /* NULL: no notes */
	size_t ring_bytes;
	int streams_fd, cgroups_fd, readers_fd; /* of maps; the skeleton's */

	int wake_fd;		/* epoll: the ring's map and pending_fd */
	int pending_fd;		/* eventfd */
	bool pending;		/* it is readable: a record is about to be submitted */
	bool wake_at_next;	/* asked for, and nothing was read since */
	bool writers_detached;	/* until a stream is registered that needs them */
	uint64_t searched;	/* nt_searches, as far as it was looked for them */
	uint64_t search_ns;	/* of the last look for readers */
	uint64_t search_due_ns; /* of the next; 0: all have one, or it was looked often enough */
	unsigned searches;	/* since a stream was without a reader */
	uint64_t forgotten[FORGOTTEN_MAX]; /* cgroups whose streams streams__sweep deletes */
	size_t n_forgotten;
	uint64_t sweep_ns;     /* when to, if there are any */
	struct pins *pins;     /* NULL: nothing of it outlives this process */
	struct pinned_run run; /* what is pinned; with pins */
	bool adopted;	       /* it was there */
	int *attached;	       /* programs that a run before attached; NULL: those of skel */
	char not_durable[256]; /* why there are no pins; empty: nobody asked for any */
	bool foreign;	       /* what is pinned does not fit */
	bool unpins;	       /* at its end */
	uint64_t own_cgroup;   /* denied; 0: none */
	uint64_t heartbeat_ns; /* of the last one */
	int cgroup_root;       /* directory of the unified hierarchy; -1: none */
	enum hook_set hooks;
	char why[256];
	struct capture_counters counters; /* what user space counts */
};

/* Loads and attaches: with the set that was chosen, or the best there is. */
int capture__load(struct capture *c, enum hook_set hooks, const struct programs_from *from,
		  char *ret_why, size_t size);
int capture__load_best(struct capture *c, const struct programs_from *from, char *ret_why,
		       size_t size);
/* Loads what user space runs, beside the programs of c->run that are attached already. */
int capture__load_iterators(struct capture *c, const struct programs_from *from, char *ret_why,
			    size_t size);

/* Puts a pipe or socket into the kernel's map; -EEXIST when it is there. */
int stream__insert(struct capture *c, const struct nt_stream_key *key, const struct nt_stream *s);
void stream__delete(struct capture *c, const struct nt_stream_key *key);
/* What a record of its registration would say. */
struct nt_register stream__registration(const struct nt_stream_key *key, const struct nt_stream *s);
/* Calls fn for each stream; fn may delete it. -EAGAIN: the map changed too much to come to an end.
 */
int streams__each(struct capture *c, stream_fn fn, void *arg);
/* Deletes the streams of all that capture__forget was told of. */
void streams__sweep(struct capture *c);
/* Makes the read tap look at what this process reads. */
int reader__insert(struct capture *c, pid_t reader);
void reader__delete(struct capture *c, pid_t reader);
/* Looks for the readers of streams that have none, when it is time to. */
void readers__search(struct capture *c);

#endif
