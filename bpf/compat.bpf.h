/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#ifndef NT_COMPAT_BPF_H
#define NT_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

/* BPF_PROG declares a ctx that few programs use. */
#pragma clang diagnostic ignored "-Wunused-parameter"

#endif
