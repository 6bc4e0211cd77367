/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What differs between kernels, architectures and compilers, in one place: reading kernel memory,
 * renamed fields, call numbers, atomic operations.
 */
#ifndef NT_COMPAT_BPF_H
#define NT_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

/* BPF_PROG declares a ctx that few programs use. */
#pragma clang diagnostic ignored "-Wunused-parameter"

#ifndef barrier_var
#define barrier_var(v) asm volatile("" : "+r"(v))
#endif

/*
 * Calls step(i, ctx), which returns a long, for i = 0, 1, ... n - 1 until it does not return 0.
 * `most` is the most steps where there is no bpf_loop (legacy.bpf.c): that verifier goes through
 * each of them, branches and all, so what is left after the loop has to be looked at.
 */
#ifdef NT_LEGACY
#define nt_loop(n, most, step, ctx)                                       \
	do {                                                              \
		__u32 _n = (n), _i = 0;                                   \
                                                                          \
		while (_i < (most) && _i < _n && !step(_i, ctx)) {        \
			_i++;                                             \
			barrier_var(_i); /* or the compiler unrolls it */ \
		}                                                         \
	} while (0)
#else
#define nt_loop(n, most, step, ctx) bpf_loop(n, step, ctx, 0)
#endif

/* What the function that a fexit program is attached to returned; `args`: how many it takes before
 * 5.17, where only their number says where that lies. */
static __always_inline int nt_func_ret(void *ctx, int args)
{
#ifdef NT_LEGACY
	return ((__u64 *)ctx)[args];
#else
	__u64 ret = 0;

	bpf_get_func_ret(ctx, &ret);
	return ret;
#endif
}

/* At the end of a loop's step, of what it changed: or each step begins in more states than the one
 * before it, and the verifier looks at all of them. */
#define nt_forget(v) ((v) += nt_zero)

/* Const: what nobody uses is not read. */
extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym __weak __attribute__((const));

/* The kernel's own list of special kfuncs tells whether this one is there (6.2). */
enum special_kfunc_type___nt {
	KF_bpf_rdonly_cast___nt = 1,
};

#define nt_have_cast() \
	bpf_core_enum_value_exists(enum special_kfunc_type___nt, KF_bpf_rdonly_cast___nt)

/*
 * p->field for any p, a number too; what cannot be read is 0. By a cast where there is one, since
 * lockdown refuses bpf_probe_read_kernel.
 */
#define nt_get(p, field)                                                                         \
	({                                                                                       \
		typeof(p) _p = (p);                                                              \
		typeof(_p->field) _v;                                                            \
		if (nt_have_cast())                                                              \
			_v = ((typeof(_p))bpf_rdonly_cast((void *)_p,                            \
							  bpf_core_type_id_kernel(typeof(*_p)))) \
				     ->field;                                                    \
		else                                                                             \
			bpf_core_read(&_v, sizeof(_v), &_p->field);                              \
		_v;                                                                              \
	})

/* A pointer to a struct whose fields nt_walk gets, of any p. */
#define nt_typed(type, p)                                                                      \
	((type *)(nt_have_cast() ? bpf_rdonly_cast((void *)(p), bpf_core_type_id_kernel(type)) \
				 : (void *)(p)))

/*
 * As nt_get, at a third of the price, for a p whose type the verifier knows where there is the
 * cast: what nt_typed gave, a program's argument, the current task, and what nt_walk got of them.
 */
#define nt_walk(p, field)                                           \
	({                                                          \
		typeof(p) _w = (p);                                 \
		typeof(_w->field) _f;                               \
		if (nt_have_cast())                                 \
			_f = _w->field;                             \
		else                                                \
			bpf_core_read(&_f, sizeof(_f), &_w->field); \
		_f;                                                 \
	})

/* The current task; nt_walk takes it. The kernels of legacy.bpf.c know the plain helper only. */
static __always_inline struct task_struct *nt_current(void)
{
#ifdef NT_LEGACY
	return nt_typed(struct task_struct, bpf_get_current_task());
#else
	return bpf_get_current_task_btf();
#endif
}

/*
 * Of the current thread: where its C library said that its thread-local variables are. The register
 * itself, where the program can set that without a call, is saved when the thread is switched from.
 */
static __always_inline __u64 nt_thread_pointer(void)
{
#if defined(__TARGET_ARCH_x86)
	return nt_walk(nt_current(), thread.fsbase);
#else
	return nt_walk(nt_current(), thread.uw.tp_value);
#endif
}

/* Eight bytes of kernel memory. */
static __always_inline __u64 nt_get_word(__u64 address)
{
	return nt_get((struct timespec64 *)address, tv_sec);
}

/* p->field, 64 bits wide, as a number: pointers cannot be compared, stored or indexed. */
#define nt_get_number(p, field) nt_get_word((__u64)(p) + bpf_core_field_offset(typeof(*(p)), field))

/* task->comm's two halves. */
static __always_inline __u64 nt_get_comm(struct task_struct *task, int half)
{
	if (!nt_have_cast()) {
		__u64 v;

		bpf_core_read(&v, sizeof(v), &task->comm[half * 8]);
		return v;
	}
	task = bpf_rdonly_cast(task, bpf_core_type_id_kernel(struct task_struct));
	return *(__u64 *)&task->comm[half * 8];
}

/* Its first half, as nt_walk. */
static __always_inline __u64 nt_walk_comm(struct task_struct *task)
{
	return nt_have_cast() ? *(__u64 *)task->comm : nt_get_comm(task, 0);
}

/* Of the current task, which nt_current gave. */
static __always_inline __u32 nt_current_tgid(struct task_struct *task)
{
	return nt_have_cast() ? (__u32)nt_walk(task, tgid) : bpf_get_current_pid_tgid() >> 32;
}

/* iov_iter: iov became __iov in 6.4, ITER_UBUF came in 6.0 and changed its value in 6.4. */
struct iov_iter___old {
	const struct iovec *iov;
} __attribute__((preserve_access_index));

static __always_inline __u64 nt_iter_iov(struct iov_iter *iter)
{
	struct iov_iter___old *old = (void *)iter;

	if (bpf_core_field_exists(old->iov))
		return nt_get_number(old, iov);
	return nt_get_number(iter, __iov);
}

/* Before 5.14 `type` held the kind, and the direction in its lowest bit. */
struct iov_iter___5_13 {
	unsigned int type;
} __attribute__((preserve_access_index));

static __always_inline __u32 nt_iter_type(struct iov_iter *iter)
{
	struct iov_iter___5_13 *old = (void *)iter;

	if (bpf_core_field_exists(old->type))
		return nt_get(old, type) & ~1u;
	return nt_get(iter, iter_type);
}

static __always_inline bool nt_iter_is_ubuf(struct iov_iter *iter)
{
	return bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	       nt_iter_type(iter) == bpf_core_enum_value(enum iter_type, ITER_UBUF);
}

static __always_inline bool nt_iter_is_iovec(struct iov_iter *iter)
{
	return nt_iter_type(iter) == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
}

/* io_ring_ctx: a bit of its own became one of int_flags in 7.x. */
struct io_ring_ctx___old {
	unsigned int compat : 1;
} __attribute__((preserve_access_index));

#define NT_RING_F_COMPAT 2048

static __always_inline bool nt_ring_is_compat(struct io_ring_ctx *ring)
{
	struct io_ring_ctx___old *old = (void *)ring;
	__u64 v;

	if (!bpf_core_field_exists(old->compat))
		return nt_get(ring, int_flags) & NT_RING_F_COMPAT;
	v = nt_get_word((__u64)ring +
			__builtin_preserve_field_info(old->compat, BPF_FIELD_BYTE_OFFSET));
	v <<= __builtin_preserve_field_info(old->compat, BPF_FIELD_LSHIFT_U64);
	return v >> __builtin_preserve_field_info(old->compat, BPF_FIELD_RSHIFT_U64);
}

/* No value returned: the compiler can do that one. */
#define nt_add(p, n) ((void)__sync_fetch_and_add((p), (n)))

#ifdef NT_LEGACY
#define NT_ATOMIC false
/*
 * Stand-ins for the operations below. Sums stay exact, since adding is atomic here too. Where two
 * writers of a stream that the write tap copies, or of a container with a rate, race, two records
 * may have the same offset, or times that overlap by less than they are long; a gap may be shown
 * by both, and the bucket may miss one of the calls. The read tap has one reader, which does not
 * race.
 */
static __always_inline __u64 nt_fetch_add(__u64 *p, __u64 n)
{
	__u64 v = *(volatile __u64 *)p;

	/* Of a constant 0 the compiler would make another operation, one that came later. */
	asm volatile("lock *(u64 *)(%0 + 0) += %1" : : "r"(p), "r"(n) : "memory");
	return v;
}

static __always_inline __u64 nt_xchg(__u64 *p, __u64 n)
{
	__u64 v = *(volatile __u64 *)p;

	*(volatile __u64 *)p = n;
	return v;
}

static __always_inline __u64 nt_cmpxchg(__u64 *p, __u64 old, __u64 n)
{
	*(volatile __u64 *)p = n;
	return old;
}
#else
#define NT_ATOMIC true
/*
 * Atomic operations that return the old value. The compiler has them from -mcpu=v3 on only, and its
 * assembler not at all, hence by number: stx.dw [r1], r2, with the operation as the immediate.
 * Every kernel with bpf_loop has them.
 */
static __always_inline __u64 nt_fetch_add(__u64 *p, __u64 n)
{
	register __u64 *ptr asm("r1") = p;
	register __u64 v asm("r2") = n;

	asm volatile(".8byte 0x00000001000021db" : "+r"(v) : "r"(ptr) : "memory");
	return v;
}

static __always_inline __u64 nt_xchg(__u64 *p, __u64 n)
{
	register __u64 *ptr asm("r1") = p;
	register __u64 v asm("r2") = n;

	asm volatile(".8byte 0x000000e1000021db" : "+r"(v) : "r"(ptr) : "memory");
	return v;
}

static __always_inline __u64 nt_cmpxchg(__u64 *p, __u64 old, __u64 n)
{
	register __u64 *ptr asm("r1") = p;
	register __u64 v asm("r2") = n;
	register __u64 seen asm("r0") = old;

	asm volatile(".8byte 0x000000f1000021db" : "+r"(seen) : "r"(ptr), "r"(v) : "memory");
	return seen;
}
#endif

/* System calls that the taps know, as classes. */
enum nt_call {
	NT_CALL_NONE = 0,
	NT_CALL_READ,	  /* fd, buffer, length */
	NT_CALL_READV,	  /* fd, iovecs, their number */
	NT_CALL_WRITE,	  /* fd, buffer */
	NT_CALL_WRITEV,	  /* fd, iovecs, their number */
	NT_CALL_SENDMSG,  /* fd, msghdr */
	NT_CALL_SENDMMSG, /* fd, mmsghdrs; returns their number */
	NT_CALL_SENDFILE, /* out, in */
	NT_CALL_SPLICE,	  /* in, offset, out */
	NT_CALL_TEE,	  /* in, out */
	NT_CALL_EXEC,
	NT_CALL_VMSPLICE,   /* fd, iovecs, their number: from it or into it */
	NT_CALL_IO_SUBMIT,  /* ring, number, addresses of iocbs; returns how many */
	NT_CALL_SOCKETCALL, /* a number, its arguments' address */
	NT_CALL_OPEN,	    /* returns a descriptor */
};

#define NT_CALLS 512
#define NT_COMPAT(class) ((class) << 4)

/* By call number: the class of the native call in the low half, of the 32-bit one in the high. */
#if defined(__TARGET_ARCH_x86)
static const __u8 nt_calls[NT_CALLS] = {
	[0] = NT_CALL_READ,
	[1] = NT_CALL_WRITE,
	[2] = NT_CALL_OPEN,
	[3] = NT_COMPAT(NT_CALL_READ),
	[4] = NT_COMPAT(NT_CALL_WRITE),
	[5] = NT_COMPAT(NT_CALL_OPEN),
	[11] = NT_COMPAT(NT_CALL_EXEC),
	[19] = NT_CALL_READV,
	[20] = NT_CALL_WRITEV,
	[40] = NT_CALL_SENDFILE,
	[44] = NT_CALL_WRITE, /* sendto */
	[46] = NT_CALL_SENDMSG,
	[59] = NT_CALL_EXEC,
	[102] = NT_COMPAT(NT_CALL_SOCKETCALL),
	[145] = NT_COMPAT(NT_CALL_READV),
	[146] = NT_COMPAT(NT_CALL_WRITEV),
	[187] = NT_COMPAT(NT_CALL_SENDFILE),
	[209] = NT_CALL_IO_SUBMIT,
	[239] = NT_COMPAT(NT_CALL_SENDFILE),
	[248] = NT_COMPAT(NT_CALL_IO_SUBMIT),
	[257] = NT_CALL_OPEN, /* openat */
	[275] = NT_CALL_SPLICE,
	[276] = NT_CALL_TEE,
	[278] = NT_CALL_VMSPLICE,
	[295] = NT_COMPAT(NT_CALL_OPEN), /* openat */
	[307] = NT_CALL_SENDMMSG,
	[313] = NT_COMPAT(NT_CALL_SPLICE),
	[315] = NT_COMPAT(NT_CALL_TEE),
	[316] = NT_COMPAT(NT_CALL_VMSPLICE),
	[322] = NT_CALL_EXEC,	/* execveat */
	[327] = NT_CALL_READV,	/* preadv2 */
	[328] = NT_CALL_WRITEV, /* pwritev2 */
	[345] = NT_COMPAT(NT_CALL_SENDMMSG),
	[358] = NT_COMPAT(NT_CALL_EXEC),
	[369] = NT_COMPAT(NT_CALL_WRITE), /* sendto */
	[370] = NT_COMPAT(NT_CALL_SENDMSG),
	[378] = NT_COMPAT(NT_CALL_READV),
	[379] = NT_COMPAT(NT_CALL_WRITEV),
	[437] = NT_CALL_OPEN | NT_COMPAT(NT_CALL_OPEN), /* openat2 */
};

static __always_inline __u64 nt_call_number(struct pt_regs *regs)
{
	return regs->orig_ax;
}

static __always_inline bool nt_call_is_compat(struct task_struct *task)
{
	return nt_walk(task, thread_info.status) & 2; /* TS_COMPAT */
}

static __always_inline __u64 nt_call_arg(struct pt_regs *regs, int n, bool compat)
{
	__u64 v;

	if (compat)
		v = (__u32)(n == 0 ? regs->bx : n == 1 ? regs->cx : regs->dx);
	else
		v = n == 0 ? regs->di : n == 1 ? regs->si : regs->dx;
	return v;
}
#elif defined(__TARGET_ARCH_arm64)
static const __u8 nt_calls[NT_CALLS] = {
	[2] = NT_CALL_IO_SUBMIT,
	[3] = NT_COMPAT(NT_CALL_READ),
	[4] = NT_COMPAT(NT_CALL_WRITE),
	[5] = NT_COMPAT(NT_CALL_OPEN),
	[11] = NT_COMPAT(NT_CALL_EXEC),
	[56] = NT_CALL_OPEN, /* openat */
	[63] = NT_CALL_READ,
	[64] = NT_CALL_WRITE,
	[65] = NT_CALL_READV,
	[66] = NT_CALL_WRITEV,
	[71] = NT_CALL_SENDFILE,
	[75] = NT_CALL_VMSPLICE,
	[76] = NT_CALL_SPLICE,
	[77] = NT_CALL_TEE,
	[145] = NT_COMPAT(NT_CALL_READV),
	[146] = NT_COMPAT(NT_CALL_WRITEV),
	[187] = NT_COMPAT(NT_CALL_SENDFILE),
	[206] = NT_CALL_WRITE, /* sendto */
	[211] = NT_CALL_SENDMSG,
	[221] = NT_CALL_EXEC,
	[239] = NT_COMPAT(NT_CALL_SENDFILE),
	[246] = NT_COMPAT(NT_CALL_IO_SUBMIT),
	[269] = NT_CALL_SENDMMSG,
	[281] = NT_CALL_EXEC,		  /* execveat */
	[286] = NT_CALL_READV,		  /* preadv2 */
	[287] = NT_CALL_WRITEV,		  /* pwritev2 */
	[289] = NT_COMPAT(NT_CALL_WRITE), /* send */
	[290] = NT_COMPAT(NT_CALL_WRITE), /* sendto */
	[296] = NT_COMPAT(NT_CALL_SENDMSG),
	[322] = NT_COMPAT(NT_CALL_OPEN), /* openat */
	[340] = NT_COMPAT(NT_CALL_SPLICE),
	[342] = NT_COMPAT(NT_CALL_TEE),
	[343] = NT_COMPAT(NT_CALL_VMSPLICE),
	[374] = NT_COMPAT(NT_CALL_SENDMMSG),
	[387] = NT_COMPAT(NT_CALL_EXEC),
	[392] = NT_COMPAT(NT_CALL_READV),		/* preadv2 */
	[393] = NT_COMPAT(NT_CALL_WRITEV),		/* pwritev2 */
	[437] = NT_CALL_OPEN | NT_COMPAT(NT_CALL_OPEN), /* openat2 */
};

static __always_inline __u64 nt_call_number(struct pt_regs *regs)
{
	return (__u32)regs->syscallno;
}

static __always_inline bool nt_call_is_compat(struct task_struct *task)
{
	return nt_walk(task, thread_info.flags) & (1 << 22); /* TIF_32BIT */
}

static __always_inline __u64 nt_call_arg(struct pt_regs *regs, int n, bool compat)
{
	__u64 v = n == 0 ? regs->orig_x0 : regs->regs[n];

	return compat ? (__u32)v : v;
}
#endif

/*
 * How often the current task has disabled preemption, interrupts included; -1: it cannot be seen.
 * x86 keeps it per CPU, in a variable of its own but for 6.2 to 6.14, with a flag in the top bit.
 */
#if defined(__TARGET_ARCH_x86)
struct pcpu_hot {
	int preempt_count;
} __attribute__((preserve_access_index));

extern const int __preempt_count __ksym __weak;
extern const struct pcpu_hot pcpu_hot __ksym __weak;

static __always_inline __s32 nt_preempt_count(void)
{
	if (&__preempt_count)
		return *(int *)bpf_this_cpu_ptr(&__preempt_count) & 0x7fffffff;
	if (&pcpu_hot)
		return ((struct pcpu_hot *)bpf_this_cpu_ptr(&pcpu_hot))->preempt_count & 0x7fffffff;
	return -1;
}
#else
static __always_inline __s32 nt_preempt_count(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return nt_get(task, thread_info.preempt_count) & 0x7fffffff;
}
#endif

#endif
