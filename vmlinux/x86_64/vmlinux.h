/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What this architecture adds to ../types.h. The guard is what libbpf asks for. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info {
	unsigned int status;
};

struct thread_struct {
	unsigned long fsbase;
};

struct pt_regs {
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long bx;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long bp;
	unsigned long sp;
	unsigned long ip;
	unsigned long orig_ax;
};

#pragma clang attribute pop

#include "types.h"

#endif
