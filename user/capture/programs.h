/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the programs are loaded for a hook set, and what each is attached to. By existence in
 * the kernel's BTF, never by version.
 */
#ifndef NOTAIL_CAPTURE_PROGRAMS_H
#define NOTAIL_CAPTURE_PROGRAMS_H

#include "event.h"

#include "capture.skel.h"
#include "capture/capture.h"

/* Messages of libbpf go to the debug log only. */
void programs__quiet(void);
/* Which programs have a second copy: bpf/rescue.bpf.h. */
struct copies {
	bool reads;  /* the read tap of the hook set syscall */
	bool events; /* registration and its end */
};

/* Programs beside others for the same maps. */
struct programs_from {
	/* Before they are loaded: gives the skeleton its maps. 0 or -errno. */
	int (*maps)(void *ctx, struct capture_bpf *skel);
	void *ctx;
	uint64_t generation; /* nt_generation; 0: the maps are these programs' alone */
	bool iterators;	     /* they alone: the others work already */
	bool legacy;	     /* those of the object that is said to be */
};

/* Opens, sizes the maps, chooses the programs, loads. `from` may be NULL. Text in ret_why on
 * failure. */
int programs__load(struct capture_bpf **ret, const struct capture_opts *opts, enum hook_set hooks,
		   const struct copies *copies, const struct programs_from *from, char *ret_why,
		   size_t size);
/* A digest of what could be loaded, with what was digested before: digest.h. */
uint64_t programs__digest(uint64_t digest);
/* Whether it is the object for kernels without bpf_loop, which was loaded since the other was not.
 */
bool programs__legacy(const struct capture_bpf *skel);
/* Attaches all but the iterators; what was attached goes with capture_bpf__destroy. */
int programs__attach(struct capture_bpf *skel, enum hook_set hooks, char *ret_why, size_t size);
/* Where programs cannot walk through a map (legacy): ends the streams of the cgroup, or of the
 * reader, that went, and that nobody ends. 0 is none. */
int programs__sweep(struct capture_bpf *skel, uint64_t cgroup_id, uint32_t reader);
/* Runs an iterator to its end. */
int programs__iterate(struct bpf_program *prog);
/* Calls that the kernel skipped since a program was already active on that CPU; 0 where the kernel
 * does not say. `fds`: of the programs, in the order of the skeleton, where others than its own
 * are attached; NULL: its own. */
uint64_t programs__recursion_misses(const struct capture_bpf *skel, const int *fds);
/* The same without what a second copy had: it moves whenever something was lost, and may move when
 * nothing was. */
uint64_t programs__misses(const struct capture_bpf *skel, const int *fds);
/* What an errno of loading or attaching means here, in words. */
const char *programs__reason(int error, char *buf, size_t size);
/* Attribution is off: the programs that only tap writes, until one is needed. */
void programs__detach_writers(struct capture_bpf *skel);
/* -ENOTSUP: none could be attached again. */
int programs__attach_writers(struct capture_bpf *skel);

#endif
