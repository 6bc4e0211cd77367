/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The same programs and maps for kernels without bpf_loop (before 5.17). compat.bpf.h has what
 * differs.
 */
#define NT_LEGACY
#include "capture.bpf.c"
