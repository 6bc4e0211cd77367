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

/* Opens, sizes the maps, chooses the programs, loads. Text in ret_why on failure. */
int programs__load(struct capture_bpf **ret, const struct capture_opts *opts, enum hook_set hooks,
		   const struct copies *copies, char *ret_why, size_t size);
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
 * does not say. */
uint64_t programs__recursion_misses(const struct capture_bpf *skel);
/* The same without what a second copy had: it moves whenever something was lost, and may move when
 * nothing was. */
uint64_t programs__misses(const struct capture_bpf *skel);
/* What an errno of loading or attaching means here, in words. */
const char *programs__reason(int error, char *buf, size_t size);
/* Attribution is off: the programs that only tap writes, until one is needed. */
void programs__detach_writers(struct capture_bpf *skel);
/* -ENOTSUP: none could be attached again. */
int programs__attach_writers(struct capture_bpf *skel);

#endif
