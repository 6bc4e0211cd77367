/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What this architecture adds to ../types.h. The guard is what libbpf asks for. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info {
	unsigned long flags;
	unsigned long long preempt_count;
};

struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};

struct user_pt_regs {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long pstate;
};

struct pt_regs {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long orig_x0;
	int syscallno;
};

#pragma clang attribute pop

#include "types.h"

#endif
