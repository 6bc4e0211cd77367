/* SPDX-License-Identifier: Apache-2.0 */
/* `notail probe`: what this kernel offers, found by trying, one line each; and which hook set would
 * be used and why. */
#ifndef NOTAIL_CAPTURE_PROBE_H
#define NOTAIL_CAPTURE_PROBE_H

#include <stdbool.h>
#include <stdio.h>

#include "capture/capture.h"

/* The kernel's preemption mode, as far as it can be known. Unknown counts as preemptible. */
enum preemption {
	PREEMPTION_UNKNOWN,
	PREEMPTION_NONE,
	PREEMPTION_VOLUNTARY,
	PREEMPTION_LAZY,
	PREEMPTION_FULL
};
enum preemption probe__preemption(void);
const char *preemption__name(enum preemption p);

/* Where the kernel may preempt a task inside a program and skip the program meanwhile. */
struct probe_preempted {
	bool calls;	   /* programs of sys_exit */
	bool events;	   /* of other tracepoints */
	bool counts_reads; /* the kernel counts each thread's reads */
};
/* By looking from inside such programs. Without `calls` those of sys_exit, which every call of the
 * host would run meanwhile, are not looked at. */
void probe__preempted(bool calls, struct probe_preempted *ret);

struct probe_choice {
	enum hook_set hooks;
	char why[256]; /* why not a better one; empty: it is the best */
};

/* By preemption and by loading and attaching. -ENOTSUP: no hook set works; why says what is
 * missing. */
int probe__choose(enum hook_set wanted, struct probe_choice *ret);
/* Prints the report, or one JSON object on a line: {"features":[{"name","ok","says"}...],
 * "cgroups":[{"path","processes"}...],"preemption","lockdown","programs","hooks","why_not_better",
 * "streams":[{"container","stream","tap","why"}...]}: then the streams of the containers that run.
 * 0 when a hook set works, -ENOTSUP when none does. */
int probe__print(FILE *out, bool json);

#endif
