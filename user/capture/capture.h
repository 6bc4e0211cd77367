/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side: loads and attaches the programs, registers what runs already, reads the ring.
 * libbpf stops here.
 *
 * One thread owns a struct capture (the capture thread), except where a function says otherwise.
 * Errors come as -errno with a text that says what and what to do (capture__error).
 */
#ifndef NOTAIL_CAPTURE_CAPTURE_H
#define NOTAIL_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/record.h"

enum hook_set { HOOKS_AUTO, HOOKS_FEXIT, HOOKS_MULTI, HOOKS_SYSCALL };
enum tap_mode { TAP_AUTO, TAP_READ, TAP_WRITE };
/* What the write tap is for: names and proof, by stream or write by write; or nothing but copying
 * where it has to. */
enum attribution { ATTRIBUTION_STREAM, ATTRIBUTION_LINE, ATTRIBUTION_OFF };
/* A second copy of some programs, for kernels that skip one while it is preempted. Auto: on those.
 */
enum second_copy { SECOND_COPY_AUTO, SECOND_COPY_OFF, SECOND_COPY_ON };

struct capture_opts {
	enum hook_set hooks;
	enum tap_mode tap;
	size_t ring_bytes;  /* a power of two, 1 MiB to 1 GiB; 0: 32 MiB */
	bool containers;    /* register containers: at exec, and those that run already */
	size_t max_streams; /* 0: 16384 */
	bool exec_sessions; /* of containers, docker exec's stdio too */
	enum attribution attribution;
	const char *traces;  /* pinned map of trace contexts; NULL: OpenTelemetry's */
	uint64_t rate_limit; /* bytes/s of each container, CAPTURE_RATE_MIN to ..._MAX; 0: none */
	uint64_t rate_burst; /* bytes, at most CAPTURE_RATE_MAX; 0: a second's worth */
	enum second_copy second_copy;
	const char *const *cgroups; /* asked for, besides containers' (names.h); borrowed */
	size_t n_cgroups;	    /* at most CAPTURE_CGROUPS_MAX */
	/*
	 * A directory of a BPF file system: what is captured is pinned there, outlives this process,
	 * and is taken over by the next one. NULL: it is this process' alone.
	 */
	const char *pins;
	uint64_t orphan_timeout_ns; /* nobody reads for so long: nothing is copied; 0: 10 min */
	size_t state_bytes;	    /* of capture__state; 0: none */
};

#define CAPTURE_PINS "/sys/fs/bpf/notail"

#define CAPTURE_CGROUPS_MAX 32
#define CAPTURE_RATE_MIN 1024ull
#define CAPTURE_RATE_MAX (1ull << 30)

struct capture_counters {
	uint64_t records;
	uint64_t corrupt; /* records skipped */
	uint64_t corrupt_bytes;
	uint64_t events_lost; /* of struct nt_stats */
	uint64_t data_lost;
	uint64_t notes_lost;
	uint64_t streams_full;
	uint64_t cgroups_full;
	uint64_t recursion_misses; /* of all programs, second copies among them */
	uint64_t ring_used_bytes;
	uint64_t ring_bytes;
	/* Of rings that a run before left and that could not be taken over: not delivered. */
	uint64_t unread_bytes;
};

struct capture;

/*
 * Opens, loads, attaches; then (with `containers`) scans. notail's own streams and cgroup are
 * denied before attach. On failure *ret is NULL and ret_why (size bytes) has one line for the user.
 * -EBUSY: another run has the pins.
 */
int capture__new(struct capture **ret, const struct capture_opts *opts,
		 const struct record_ops *ops, void *ctx, char *ret_why, size_t size);
/* Detaches, but for what is pinned, and frees. NULL is fine. */
void capture__free(struct capture *c);
/* What is pinned ends with capture__free. */
void capture__unpin(struct capture *c);

/* What is captured outlives this process. If not, *ret_why says why, one clause: empty where it was
 * not asked for. It stays capture's. */
bool capture__durable(const struct capture *c, const char **ret_why);
/* Whether a run before had captured already: the ring goes on. */
bool capture__adopted(const struct capture *c);
/* notail's own container, whose output is left out; 0: it is in none. */
uint64_t capture__own_cgroup(const struct capture *c);
/*
 * Memory that outlives this process, of at least state_bytes; mapped until capture__free. Zero when
 * it is new, *ret_adopted when it is not. -ENOENT: a run that pins nothing has none. Once, before
 * anything is read.
 */
int capture__state(struct capture *c, void **ret_memory, size_t *ret_size, bool *ret_adopted);
/* Reading begins at `pos`, between two records, instead of at the kernel's consumer position.
 * -EINVAL: the ring has it no more, or not yet. */
int capture__seek(struct capture *c, uint64_t pos);
/* How far the ring is freed: where reading began, or what capture__commit was given. */
uint64_t capture__committed(const struct capture *c);

/* Registers containers that run already and are not registered (the kernel's own registration
 * wins). */
int capture__scan(struct capture *c);
/* Sends bytes through a pipe and sees that both taps had them; the records of it are not handed on.
 */
int capture__self_test(struct capture *c, char *ret_why, size_t size);
/* The hook set in force, and why no better one is (empty: it is the best there is). */
enum hook_set capture__hooks(const struct capture *c);
const char *capture__why(const struct capture *c);

/*
 * Reads what is ready, up to about max_bytes of the ring; returns the bytes walked. Sets
 * *ret_position to where reading goes on, whatever was handed on lies before it.
 */
size_t capture__read(struct capture *c, size_t max_bytes, uint64_t *ret_position);
/* CLOCK_BOOTTIME ns at which capture__read has something to do besides reading; UINT64_MAX: never.
 */
uint64_t capture__due_ns(const struct capture *c);
/* Frees the ring up to pos. */
void capture__commit(struct capture *c, uint64_t pos);
/* Readable (level) when the ring is filling faster than the timer drains it. Reset by
 * capture__read. */
int capture__wake_fd(const struct capture *c);
/*
 * The next record makes capture__wake_fd readable: to be called before the last look at the ring
 * before a long sleep. After a read that found records the threshold is a quarter of the ring
 * again.
 */
void capture__wake_at_next(struct capture *c);

/* A process' stdio (--pid): registers fd 1 and 2. *ret_cgroup_id: its cgroup. Text as capture__new.
 */
int capture__add_pid(struct capture *c, pid_t pid, uint64_t *ret_cgroup_id, char *ret_why,
		     size_t size);
/* A pipe that notail reads itself (-- CMD): `read_fd` is its read end, `reader` the reading tgid.
 */
int capture__add_pipe(struct capture *c, int read_fd, pid_t reader, enum nt_file file,
		      uint64_t cgroup_id);
/* No tap touches this container from now on. */
int capture__exclude(struct capture *c, uint64_t cgroup_id);
/* Takes capture__exclude back: the next capture__scan finds it. What it wrote meanwhile is not
 * captured. */
int capture__include(struct capture *c, uint64_t cgroup_id);
/* The cgroup is gone and its last record is through: what the kernel side still holds of it is
 * removed, within a second by capture__read. */
void capture__forget(struct capture *c, uint64_t cgroup_id);

/*
 * The path of a container's cgroup whose event found no room in the ring. -ENOENT where no
 * containers are captured or it is none's; -ESTALE: it is gone.
 */
int capture__cgroup_path(struct capture *c, uint64_t cgroup_id, char *ret_path, size_t size);

/* The kernel side knows the cgroup as a container's; true where no containers are captured. */
bool capture__cgroup_lives(struct capture *c, uint64_t cgroup_id);
/* The process is known as a reader, and has not ended. */
bool capture__reads(struct capture *c, uint32_t tgid);
/* As proc__holds: for a reader whose last read the kernel side did not see. */
bool capture__holds(uint32_t tgid, const struct nt_stream_key *key);
/* How far the ring was read, and written. */
void capture__positions(const struct capture *c, uint64_t *ret_read, uint64_t *ret_written);
/* Less than a sixteenth of the ring is free. */
bool capture__ring_is_full(const struct capture *c);
/* Records of registrations, ends and cgroups that the ring had no room for. */
uint64_t capture__events_lost(struct capture *c);
/*
 * Calls fn for each stream whose cgroup and reader are both gone: none is left but those whose end
 * the ring had no room for. fn may forget it. It may be told of one twice.
 */
void capture__orphans(struct capture *c, stream_fn fn, void *arg);

/* The stream as the kernel counts it now. -ENOENT. */
int capture__stream(struct capture *c, const struct nt_stream_key *key, struct nt_stream *ret);
void capture__counters(struct capture *c, struct capture_counters *ret);
/* One program of the kernel side. Runs and time stay 0 while kernel.bpf_stats_enabled is off. */
struct capture_hook {
	char name[64];
	uint64_t runs, run_ns, misses;
};

typedef void (*capture_hook_fn)(void *arg, const struct capture_hook *hook);
/* Of each one that is loaded. */
void capture__hook_stats(struct capture *c, capture_hook_fn fn, void *arg);
/*
 * Moves whenever the kernel skipped a program, and for NT_TAP_READ its second copy, where there is
 * one, for the same event: bytes of streams with that tap may be lost then. Costs a system call a
 * program.
 */
uint64_t capture__misses(struct capture *c, enum nt_tap tap);

/* The programs for kernels without bpf_loop are loaded: loops are short, attribution is by stream
 * at most, a stream does not change its tap. */
bool capture__legacy(const struct capture *c);

const char *hook_set__name(enum hook_set hooks);
int hook_set__parse(const char *name, enum hook_set *ret);
int tap_mode__parse(const char *name, enum tap_mode *ret);
int attribution__parse(const char *name, enum attribution *ret);

#endif
