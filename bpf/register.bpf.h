/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which files are streams.
 *
 * A container's stdio is registered before its program's first instruction. The program's process,
 * init, is the first task to exec in a cgroup with a container's name that has no living init, in
 * another mount namespace than its parent: the runtime's own stages re-exec themselves inside the
 * cgroup before they enter the container's namespaces, and `docker exec` comes when init lives: a
 * session, whose stdio is registered on demand.
 *
 * A cgroup that is asked for (--cgroup) may be a unit of systemd, which has no namespace and no one
 * init: there, everything that was started from outside of the cgroup is registered.
 */
#ifndef NT_REGISTER_BPF_H
#define NT_REGISTER_BPF_H

#include "account.bpf.h"
#include "switch.bpf.h"
#include "cgroup_names.h"

#define NT_S_IFMT 0170000
#define NT_S_IFIFO 0010000
#define NT_S_IFCHR 0020000
#define NT_S_IFSOCK 0140000
#define NT_FMODE_READ 1
#define NT_FMODE_WRITE 2
#define NT_DEV_MAJOR(dev) ((dev) >> 20)
#define NT_DEV_PTMX ((5u << 20) | 2)
#define NT_DEV_TTY ((5u << 20) | 0) /* /dev/tty: the process' own terminal */
#define NT_MAJOR_PTS 136	    /* to 143: the slaves of Unix98 ptys */

#define NT_READER_FDS 1024 /* looked at for the reader's end */
#define NT_AF_UNIX 1
#define NT_SOCK_STREAM 1

enum nt_side { NT_SIDE_WRITER, NT_SIDE_READER };

struct nt_target {
	struct nt_stream_key key;
	__u64 pipe;
};

static __always_inline struct file *nt_file_at(__u64 slot)
{
	return nt_get((struct poll_table_entry *)slot, filp);
}

static __always_inline struct file *nt_fd_file(struct task_struct *any_task, __u32 fd)
{
	struct task_struct *task = nt_typed(struct task_struct, any_task);
	struct files_struct *files = nt_walk(task, files);
	struct fdtable *fdt = nt_walk(files, fdt);

	if (fd >= nt_walk(fdt, max_fds))
		return NULL;
	return nt_file_at((__u64)nt_walk(fdt, fd) + (__u64)fd * 8);
}

/* Its address, as the number that a function which is not static takes. */
static __always_inline __u64 nt_fd_file_address(struct task_struct *task, __u32 fd)
{
	struct files_struct *files = nt_get(task, files);
	struct fdtable *fdt = nt_get(files, fdt);

	if (fd >= nt_get(fdt, max_fds))
		return 0;
	return nt_get_word(nt_get_number(fdt, fd) + (__u64)fd * 8);
}

/* False for nearly every file of the host. */
static __always_inline bool nt_may_be_stream(__u64 ino)
{
	return ((volatile __u32 *)nt_filter_files)[nt_filter_file_slot(ino)];
}

/* See nt_target. `registered`: for files only that may be a stream by now. */
static __always_inline bool nt_key_of(struct file *any_file, enum nt_side side,
				      struct nt_stream_key *key, __u64 *pipe, bool registered)
{
	struct file *file = nt_typed(struct file, any_file);
	struct inode *inode = nt_walk(file, f_inode);
	__u32 mode = nt_walk(inode, i_mode) & NT_S_IFMT;
	struct tty_file_private *private;
	__u32 rdev;

	*pipe = 0;
	if (mode == NT_S_IFIFO || mode == NT_S_IFSOCK) {
		struct super_block *sb;

		key->ino = nt_walk(inode, i_ino);
		if (registered && !nt_may_be_stream(key->ino))
			return false;
		sb = nt_walk(inode, i_sb);
		key->dev = nt_walk(sb, s_dev);
		key->type = NT_KEY_INODE;
		if (mode == NT_S_IFIFO)
			*pipe = nt_get_number(inode, i_pipe);
		return true;
	}
	if (mode != NT_S_IFCHR)
		return false;
	rdev = nt_walk(inode, i_rdev);
	if (side == NT_SIDE_READER
		    ? rdev != NT_DEV_PTMX
		    : (NT_DEV_MAJOR(rdev) & ~7u) != NT_MAJOR_PTS && rdev != NT_DEV_TTY)
		return false;
	private = (void *)nt_get_number(file, private_data);
	key->ino = nt_get_number(private, tty);
	if (side == NT_SIDE_READER)
		key->ino = nt_get_number((struct tty_struct *)key->ino, link);
	key->dev = 0;
	key->type = NT_KEY_TTY;
	return registered ? nt_may_be_stream(key->ino) : key->ino != 0;
}

/*
 * The key under which a file is a stream, if it may be one: a pipe, a socket, or the end of a pty
 * on the given side. Both ends of a pty have the slave's key.
 */
static __always_inline bool nt_target(struct file *file, enum nt_side side, struct nt_target *t)
{
	return nt_key_of(file, side, &t->key, &t->pipe, false);
}

static __always_inline struct nt_stream *nt_lookup(struct nt_stream_key *key)
{
	struct nt_stream *s = bpf_map_lookup_elem(&nt_streams, key);

	return s && !s->denied ? s : NULL;
}

/* The stream of a file, unless it is none or no tap may touch it. */
static __always_inline struct nt_stream *nt_find(struct file *file, enum nt_side side,
						 struct nt_target *t)
{
	/* The helper may look at all of what it gets: apart, so that unused fields are not read. */
	struct nt_stream_key key;
	struct nt_stream *s;
	__u64 pipe;

	if (!nt_key_of(file, side, &key, &pipe, true))
		return NULL;
	s = nt_lookup(&key);
	if (!s)
		return NULL;
	t->key = key;
	t->pipe = pipe;
	return s;
}

static __noinline int nt_tell_end(struct nt_stream_key *key, struct nt_stream *s, __u32 cause)
{
	struct nt_end *rec = bpf_ringbuf_reserve(&nt_ring, sizeof(*rec), 0);
	struct nt_writer *w;

	if (!rec) {
		nt_count(events_lost);
		return -1;
	}
	rec->hdr.kind = NT_KIND_END;
	rec->hdr.ring = 0;
	rec->hdr.size = sizeof(*rec);
	rec->hdr.time_ns = nt_take_time(s, 0);
	rec->hdr.cgroup_id = s->cgroup_id;
	rec->key = *key;
	nt_take_gap(s, &rec->gap);
	rec->seen = s->seen;
	w = nt_writer(s);
	rec->written = w->written;
	__builtin_memcpy(rec->lost, s->lost, sizeof(rec->lost));
	rec->before = s->before;
	rec->unread = cause == NT_END_CGROUP ? nt_left_unread(s) : 0;
	rec->foreign = s->foreign;
	rec->from = w->writer_from;
	/* At the end there is no write left that has not returned. */
	rec->pid = 0;
	if (cause == NT_END_EOF && key->type == NT_KEY_INODE && rec->seen == rec->written &&
	    !w->foreign_ns)
		rec->pid = w->writer_pid;
	__builtin_memcpy(rec->comm, w->writer_comm, sizeof(rec->comm));
	rec->file = s->file;
	rec->tap = s->tap;
	rec->cause = cause;
	rec->pad = 0;
	bpf_ringbuf_submit(rec, nt_wake_flag());
	nt_count(records);
	return 0;
}

static __always_inline void nt_delete_stream(struct nt_stream_key *key)
{
	struct nt_hot *hot = nt_find_hot(key);

	if (hot)
		nt_cool(hot);
	if (bpf_map_delete_elem(&nt_streams, key))
		return;
	if (hot)
		nt_free_hot(hot);
	nt_add(&nt_filter_files[nt_filter_file_slot(key->ino)], -1);
}

static __always_inline void nt_end_stream(struct nt_stream_key *key, struct nt_stream *s,
					  enum nt_end_cause cause)
{
	/* Untold, it stays: user space finds its counts when the cgroup ends, or at its own end. If
	 * it has been away for long the map must not fill up. */
	if (nt_tell_end(key, s, cause) && cause != NT_END_REPLACED &&
	    bpf_ktime_get_ns() <= nt_orphan_mono_ns)
		return;
	nt_delete_stream(key);
}

static __noinline int nt_tell_register(struct nt_stream_key *key, struct nt_stream *s,
				       struct task_struct *init, enum nt_kind kind)
{
	struct nt_register *rec = bpf_ringbuf_reserve(&nt_ring, sizeof(*rec), 0);
	__u64 *comm;

	if (!rec) {
		nt_count(events_lost);
		return 0;
	}
	rec->hdr.kind = kind;
	rec->hdr.ring = 0;
	rec->hdr.size = sizeof(*rec);
	rec->hdr.time_ns = nt_take_time(s, 0);
	rec->hdr.cgroup_id = s->cgroup_id;
	rec->key = *key;
	rec->init_pid = s->init_pid;
	rec->reader = s->reader;
	comm = (__u64 *)rec->comm;
	comm[0] = nt_get_comm(init, 0);
	comm[1] = nt_get_comm(init, 1);
	rec->file = s->file;
	rec->tap = s->tap;
	rec->origin = s->origin;
	rec->pipe = s->pipe != 0;
	__builtin_memset(rec->pad, 0, sizeof(rec->pad));
	bpf_ringbuf_submit(rec, nt_wake_flag());
	nt_count(records);
	return 0;
}

/* Is it in this descriptor table, open for reading? */
struct nt_search {
	struct nt_stream_key key;
	__u64 slots; /* of the table */
	__u64 found;
};

/* Not static, as nt_register_file. */
__noinline int nt_is_open_in(__u64 slot, __u64 ino, __u32 dev, __u32 type)
{
	struct file *file = nt_file_at(slot);
	struct nt_target t = {};

	if (!file || !(nt_get(file, f_mode) & NT_FMODE_READ) ||
	    !nt_target(file, NT_SIDE_READER, &t))
		return 0;
	return t.key.ino == ino && t.key.dev == dev && t.key.type == type;
}

static long nt_search_step(__u32 fd, struct nt_search *q)
{
	if (!nt_is_open_in(q->slots + (__u64)fd * 8, q->key.ino, q->key.dev, q->key.type))
		return 0;
	q->found = 1;
	return 1;
}

static __always_inline bool nt_reads(struct task_struct *task, struct nt_stream_key *key)
{
	struct files_struct *files = nt_get(task, files);
	struct fdtable *fdt = nt_get(files, fdt);
	__u32 n = nt_get(fdt, max_fds);
	struct nt_search q = {.key = *key};

	q.slots = nt_get_number(fdt, fd);
	q.found = nt_zero;
	if (n > NT_READER_FDS)
		n = NT_READER_FDS;
	nt_loop(n, NT_READER_FDS / 2, nt_search_step, &q);
	return q.found;
}

/* nt_reads, with a frame of its own: verifiers add up those that are nested. */
static __noinline int nt_is_read_by(struct task_struct *task, struct nt_stream_key *key)
{
	return nt_reads(task, key);
}

static __always_inline __u64 nt_task_cgroup(struct task_struct *task)
{
	struct css_set *set = nt_get(task, cgroups);
	struct cgroup *cgroup = nt_get(set, dfl_cgrp);
	struct kernfs_node *kn = nt_get(cgroup, kn);

	return nt_get(kn, id);
}

static __always_inline void nt_set_tap(struct nt_stream *s, enum nt_tap tap)
{
	__u64 at = s->hot;

	if (tap == NT_TAP_WRITE)
		nt_write_taps = 1;
	s->tap = tap;
	barrier_var(at);
	if (NT_ATOMIC && at - 1 < NT_HOT)
		nt_hot[at - 1].counts = tap == NT_TAP_READ;
}

static __always_inline void nt_set_reader(struct nt_stream *s, __u32 tgid)
{
	__u32 how = NT_READER;

	s->reader = tgid;
	nt_set_tap(s, nt_tap_mode == NT_TAP_WRITE ? NT_TAP_WRITE : NT_TAP_READ);
	nt_know_reader(tgid, NT_READER);
	bpf_map_update_elem(&nt_readers, &tgid, &how, BPF_EXIST);
}

/*
 * A session's reader: its parent or, while the runtime's command that started it has not ended, the
 * parent of that. A terminal's master comes to the shim after the exec, so there the process that
 * reads containers already is taken. A parent inside the container is no runtime.
 */
static __noinline int nt_session_reader(struct task_struct *task, struct nt_stream_key *key)
{
	struct task_struct *at = task;

#pragma unroll
	for (int i = 0; i < 2; i++) {
		__u32 tgid;

		at = nt_get(at, real_parent);
		tgid = nt_get(at, tgid);
		if (nt_task_cgroup(at) == nt_task_cgroup(task))
			return 0;
		if (key->type == NT_KEY_TTY ? bpf_map_lookup_elem(&nt_readers, &tgid) != NULL
					    : nt_reads(at, key))
			return tgid;
	}
	return 0;
}

/*
 * gVisor: the program runs in the sandbox, whose process has the container's pipes above 2, among
 * pipes to the runtime's command that starts it. That one goes; the shim, above it, reads the log.
 */
static __noinline int nt_donated_reader(struct task_struct *task, struct nt_stream_key *key)
{
	struct task_struct *command = nt_get(task, real_parent);
	struct task_struct *shim = nt_get(command, real_parent);

	if (nt_reads(command, key) || !nt_reads(shim, key))
		return 0;
	return nt_get(shim, tgid);
}

/* What a stream begins as: too large for the stack. Without a tap nothing touches it. */
static const struct nt_stream nt_new_stream;

/*
 * Makes the file a stream of init. Its reader is init's parent or, for now, nobody: then the write
 * tap copies, or with a scan nobody does until it has looked at all processes. A pipe that carries
 * fd 1 and 2 both is one stream. Returns whether it was inserted. Not static, and with numbers for
 * pointers: the verifier then looks at it once, and not for each path that leads here.
 */
__noinline int nt_register_file(__u64 init_address, __u64 file_address, __u64 cgroup_id,
				__u32 which_origin)
{
	__u32 which = which_origin & 0xff, origin = which_origin >> 8;
	struct task_struct *init = (void *)init_address;
	struct file *file = (void *)file_address;
	struct task_struct *parent = nt_get(init, real_parent);
	__u32 init_pid = nt_get(init, tgid), reader = 0;
	struct nt_target t = {};
	struct nt_stream *s;
	int err; /* a map's, before 6.4, has no sign in its upper half */

	if (!nt_target(file, NT_SIDE_WRITER, &t))
		return 0;
	s = bpf_map_lookup_elem(&nt_streams, &t.key);
	if (s) {
		if (s->denied || origin >= NT_ORIGIN_SCAN || s->init_pid == init_pid)
			return 0;
		nt_end_stream(&t.key, s, NT_END_REPLACED);
	}
	if (origin == NT_ORIGIN_SESSION) {
		reader = nt_session_reader(init, &t.key);
		if (!reader)
			return 0;
	} else if (origin == NT_ORIGIN_DONATED) {
		reader = t.pipe ? nt_donated_reader(init, &t.key) : 0;
		if (!reader)
			return 0;
	} else if ((t.pipe || t.key.type == NT_KEY_TTY) && nt_is_read_by(parent, &t.key)) {
		reader = nt_get(parent, tgid);
	}
	nt_add(&nt_filter_files[nt_filter_file_slot(t.key.ino)], 1);
	err = bpf_map_update_elem(&nt_streams, &t.key, &nt_new_stream, BPF_NOEXIST);
	if (err) {
		nt_add(&nt_filter_files[nt_filter_file_slot(t.key.ino)], -1);
		if (err == -7) /* E2BIG */
			nt_count(streams_full);
		return 0;
	}
	s = bpf_map_lookup_elem(&nt_streams, &t.key);
	if (!s)
		return 0;
	s->cgroup_id = cgroup_id;
	nt_begin_pipe(s, t.pipe);
	if (t.pipe)
		nt_heat(&t.key, s);
	s->init_pid = init_pid;
	s->file = t.key.type == NT_KEY_TTY ? NT_FILE_TTY : which;
	s->origin = origin;
	if (reader)
		nt_set_reader(s, reader);
	else if (origin < NT_ORIGIN_SCAN)
		nt_set_tap(s, nt_tap_mode == NT_TAP_READ ? NT_TAP_READ : NT_TAP_WRITE);
	if (s->tap && !reader && (t.pipe || t.key.type == NT_KEY_TTY))
		nt_search_reader();
	if (s->tap)
		nt_tell_register(&t.key, s, init, NT_KIND_REGISTER);
	return 1;
}

#define NT_DONATED_FDS 24 /* looked at for a sandbox' container's stdio */

/* In the order in which they were given: stdout, stderr. */
static __always_inline void nt_register_donated(struct task_struct *task, __u64 leader,
						__u64 cgroup_id)
{
	__u32 which = NT_FILE_STDOUT;

	for (__u32 fd = 3; fd < NT_DONATED_FDS && which <= NT_FILE_STDERR; fd++) {
		__u64 file = nt_fd_file_address(task, fd);

		if (file && (nt_get((struct file *)file, f_mode) &
			     (NT_FMODE_READ | NT_FMODE_WRITE)) == NT_FMODE_WRITE)
			which += nt_register_file(leader, file, cgroup_id,
						  which | NT_ORIGIN_DONATED << 8);
	}
}

/* gVisor's gofer is in the container's cgroup before its sandbox is: the program's name, as it was
 * given, tells them apart. */
static __always_inline bool nt_is_gofer(struct task_struct *task)
{
	struct mm_struct *mm = nt_get(task, mm);
	char name[16] __attribute__((aligned(8))) = {};

	bpf_probe_read_user(name, 11, (void *)nt_get_number(mm, arg_start));
	return *(__u64 *)name == nt_constant_word("runsc-go", 0) && name[8] == 'f' &&
	       name[9] == 'e' && name[10] == 'r';
}

/*
 * What carries a unit's log is a stream between processes of this host. A connection that a socket
 * unit accepted for it is fd 0, too, and no log.
 */
static __always_inline bool nt_is_log_socket(struct task_struct *task, struct file *file)
{
	struct socket *sock = (void *)nt_get_number(file, private_data);
	struct sock *sk = nt_get(sock, sk);
	struct file *in = nt_fd_file(task, 0);

	return nt_get(sock, type) == NT_SOCK_STREAM &&
	       nt_get(sk, __sk_common.skc_family) == NT_AF_UNIX &&
	       nt_get_number(in, f_inode) != nt_get_number(file, f_inode);
}

/* How a process came to exec in a cgroup that is asked for, from outside of it. */
struct nt_start {
	struct task_struct *task, *parent;
	__u64 cgroup_id;
	__u32 tgid;
	__u32 init;	/* the process before it whose stdio was registered, and that lives */
	bool contained; /* in another mount namespace than its parent */
	bool forked;	/* by its parent, that is: it is no orphan of the cgroup's own */
};

/*
 * Its stdio comes from outside, unless it made a pipe itself before a later exec, or is a session
 * in a container. A terminal is a log where somebody reads it for that, not where somebody sits.
 */
static __always_inline bool nt_is_asked_file(struct nt_start *a, struct file *file,
					     struct nt_target *t)
{
	if (t->key.type == NT_KEY_INODE && !t->pipe)
		return nt_is_log_socket(a->task, file);
	if (a->init == a->tgid)
		return false;
	if (a->contained)
		return !a->init;
	return a->forked && (t->pipe || nt_is_read_by(a->parent, &t->key));
}

static __always_inline int nt_register_asked_file(struct nt_start *a, __u32 which)
{
	struct file *file = nt_fd_file(a->task, which);
	struct nt_target t = {};
	struct nt_stream *s;

	if (!nt_target(file, NT_SIDE_WRITER, &t) || !nt_is_asked_file(a, file, &t))
		return 0;
	s = bpf_map_lookup_elem(&nt_streams, &t.key);
	if (s) {
		__u64 owner = s->cgroup_id;

		/* Of a stage of the runtime that wrote nothing, the program itself takes over. */
		if (s->denied || nt_writer(s)->written || s->seen || s->init_pid == a->tgid ||
		    (owner != a->cgroup_id && bpf_map_lookup_elem(&nt_cgroups, &owner)))
			return 0;
		nt_delete_stream(&t.key);
	}
	return nt_register_file(nt_get_number(a->task, group_leader),
				nt_fd_file_address(a->task, which), a->cgroup_id,
				which | NT_ORIGIN_EXEC << 8);
}

static __always_inline void nt_register_asked(struct task_struct *task, struct nt_cgroup *cg,
					      __u64 cgroup_id)
{
	struct task_struct *parent = nt_get(task, real_parent);
	struct nsproxy *mine = nt_get(task, nsproxy), *parents = nt_get(parent, nsproxy);
	struct nt_start a = {.task = task, .parent = parent, .cgroup_id = cgroup_id};
	int registered;

	if (nt_task_cgroup(parent) == cgroup_id)
		return;
	a.contained = nt_get_number(mine, mnt_ns) != nt_get_number(parents, mnt_ns);
	a.forked = nt_get(task, parent_exec_id) == nt_get(parent, self_exec_id);
	a.tgid = nt_get(task, tgid);
	a.init = cg->init_pid;
	registered = nt_register_asked_file(&a, NT_FILE_STDOUT);
	registered += nt_register_asked_file(&a, NT_FILE_STDERR);
	if (registered)
		cg->init_pid = a.tgid;
}

/* The current task execs, or failed to. */
static __always_inline void nt_register_exec(struct task_struct *task, enum nt_origin origin)
{
	struct task_struct *parent;
	struct nsproxy *mine, *parents;
	struct nt_cgroup *cg;
	__u64 cgroup_id, leader;
	int found;

	if (!nt_containers)
		return;
	cgroup_id = bpf_get_current_cgroup_id();
	cg = bpf_map_lookup_elem(&nt_cgroups, &cgroup_id);
	if (!cg || (cg->flags & NT_CGROUP_DENIED))
		return;
	if (cg->flags & NT_CGROUP_ASKED) {
		if (nt_n_asked && origin == NT_ORIGIN_EXEC)
			nt_register_asked(task, cg, cgroup_id);
		return;
	}
	if (cg->init_pid) {
		if (!nt_sessions || origin != NT_ORIGIN_EXEC ||
		    cg->init_pid == (__u32)nt_get(task, tgid))
			return;
		origin = NT_ORIGIN_SESSION;
	}
	parent = nt_get(task, real_parent);
	mine = nt_get(task, nsproxy);
	parents = nt_get(parent, nsproxy);
	if (nt_get_number(mine, mnt_ns) == nt_get_number(parents, mnt_ns))
		return;
	if (origin != NT_ORIGIN_SESSION) {
		if (nt_is_gofer(task))
			return;
		cg->init_pid = nt_get(task, tgid);
	}
	leader = nt_get_number(task, group_leader);
	found = nt_register_file(leader, nt_fd_file_address(task, 1), cgroup_id,
				 NT_FILE_STDOUT | origin << 8);
	found += nt_register_file(leader, nt_fd_file_address(task, 2), cgroup_id,
				  NT_FILE_STDERR | origin << 8);
	if (!found && origin == NT_ORIGIN_EXEC)
		nt_register_donated(task, leader, cgroup_id);
}

/* Streams that no reader will end: of a cgroup that went, or of a reader that did. */
struct nt_orphans {
	__u64 cgroup_id; /* 0: by reader */
	__u64 reader;
};

static long nt_end_orphan(void *map, struct nt_stream_key *key, struct nt_stream *s,
			  struct nt_orphans *o)
{
	struct nt_stream_key copy = *key;
	__u64 cgroup_id = s->cgroup_id;
	__u32 reader = s->reader;

	if (s->denied)
		return 0;
	if (o->cgroup_id) {
		if (cgroup_id != o->cgroup_id)
			return 0;
		/* A reader that lives reads the rest, and the end. */
		if (reader && bpf_map_lookup_elem(&nt_readers, &reader))
			return 0;
	} else {
		if (reader != o->reader)
			return 0;
		nt_reader_gone(s);
		if (bpf_map_lookup_elem(&nt_cgroups, &cgroup_id)) {
			nt_tell_register(&copy, s, (void *)bpf_get_current_task(), NT_KIND_TAP);
			return 0;
		}
	}
	nt_end_stream(&copy, s, NT_END_CGROUP);
	return 0;
}

#ifdef NT_LEGACY
/* There, user space lets nt_sweep walk through the map when it comes to the record. That of a
 * cgroup follows anyway. */
static __always_inline void nt_end_orphans(__u64 cgroup_id, __u32 reader)
{
	struct nt_reader_gone *rec;

	if (!reader)
		return;
	rec = bpf_ringbuf_reserve(&nt_ring, sizeof(*rec), 0);
	if (!rec) {
		nt_count(events_lost);
		return;
	}
	rec->hdr.kind = NT_KIND_READER_GONE;
	rec->hdr.ring = 0;
	rec->hdr.size = sizeof(*rec);
	rec->hdr.time_ns = bpf_ktime_get_boot_ns();
	rec->hdr.cgroup_id = 0;
	rec->reader = reader;
	rec->pad = 0;
	bpf_ringbuf_submit(rec, nt_wake_flag());
	nt_count(records);
}
#else
static __always_inline void nt_end_orphans(__u64 cgroup_id, __u32 reader)
{
	struct nt_orphans o = {.cgroup_id = cgroup_id, .reader = reader};

	bpf_for_each_map_elem(&nt_streams, nt_end_orphan, &o, 0);
}
#endif

/* The last thread of the task's process has ended, or is about to. */
static __always_inline bool nt_is_over(struct task_struct *task)
{
	struct signal_struct *signal = nt_get(task, signal);

	return nt_get(signal, live.counter) == 0;
}

/* A process ended (its last thread did). */
static __always_inline void nt_forget_process(struct task_struct *task)
{
	__u32 tgid = nt_get(task, tgid);
	__u64 cgroup_id = nt_task_cgroup(task);
	struct nt_cgroup *cg = bpf_map_lookup_elem(&nt_cgroups, &cgroup_id);
	__u32 *how = bpf_map_lookup_elem(&nt_readers, &tgid);

	if (cg && cg->init_pid == tgid)
		cg->init_pid = 0;
	if (!how)
		return;
	if (*how == NT_READER)
		nt_end_orphans(0, tgid);
	if (bpf_map_delete_elem(&nt_readers, &tgid) == 0)
		nt_add(&nt_filter_readers[nt_filter_reader_slot(tgid)], -1);
}

/* Of a cgroup that is asked for, what runs already: that was started from outside, and its log. */
static __always_inline bool nt_scan_asked(struct task_struct *task, struct file *file,
					  __u64 cgroup_id)
{
	struct inode *inode = nt_get(file, f_inode);

	if (nt_task_cgroup(nt_get(task, real_parent)) == cgroup_id)
		return false;
	return (nt_get(inode, i_mode) & NT_S_IFMT) != NT_S_IFSOCK || nt_is_log_socket(task, file);
}

/* The stream that the task may be the reader of. NULL: none, or one of a kind that has no reader to
 * be found. */
static __always_inline struct nt_stream *nt_scan_readable(struct file *file, struct nt_target *t)
{
	struct nt_stream *s;

	if (!(nt_get(file, f_mode) & NT_FMODE_READ))
		return NULL;
	s = nt_find(file, NT_SIDE_READER, t);
	return s && (t->pipe || t->key.type == NT_KEY_TTY) ? s : NULL;
}

static __always_inline void nt_scan_holder(struct nt_scan *scan, __u32 tgid, __u64 cgroup_id,
					   struct file *file)
{
	struct nt_target t = {};
	struct nt_stream *s = nt_scan_readable(file, &t);

	if (!s || !s->tap || s->reader || !nt_is_outside(s, tgid, cgroup_id))
		return;
	nt_know_reader(tgid, NT_READER);
	scan->found++;
}

static __always_inline void nt_scan_reader(struct nt_scan *scan, struct task_struct *task,
					   __u32 tgid, __u64 cgroup_id, struct file *file)
{
	struct nt_target t = {};
	struct nt_stream *s = nt_scan_readable(file, &t);

	if (!s || s->tap || s->init_pid == tgid)
		return;
	/* A process of a container may have opened its own log for reading. */
	if (scan->pid ? s->init_pid != scan->pid : s->cgroup_id == cgroup_id)
		return;
	nt_set_reader(s, tgid);
	nt_tell_register(&t.key, s, task, NT_KIND_REGISTER);
	scan->found++;
}

/* No reader was found. */
static __always_inline void nt_scan_finish(struct nt_scan *scan, struct task_struct *task,
					   struct file *file, bool asked)
{
	struct nt_target t = {};
	struct nt_stream *s = nt_find(file, NT_SIDE_WRITER, &t);
	bool readable = t.pipe || t.key.type == NT_KEY_TTY;

	if (!s || s->tap)
		return;
	/* Nobody outside reads it. */
	if (asked && readable) {
		nt_delete_stream(&t.key);
		return;
	}
	nt_set_tap(s, nt_tap_mode == NT_TAP_READ ? NT_TAP_READ : NT_TAP_WRITE);
	if (readable)
		nt_search_reader();
	nt_tell_register(&t.key, s, task, NT_KIND_REGISTER);
	scan->found++;
}

/* One file of one task, as nt_scan orders. */
static __always_inline void nt_scan_file(struct nt_scan *scan, struct task_struct *task, __u32 fd,
					 struct file *file)
{
	__u32 tgid = nt_get(task, tgid), origin = NT_ORIGIN_SCAN;
	__u64 cgroup_id = nt_task_cgroup(task);
	bool asked = false;

	if (tgid != (__u32)nt_get(task, pid))
		return;
	if (scan->step == NT_SCAN_HOLDERS) {
		nt_scan_holder(scan, tgid, cgroup_id, file);
		return;
	}
	if (scan->step == NT_SCAN_READERS) {
		nt_scan_reader(scan, task, tgid, cgroup_id, file);
		return;
	}
	if (fd != NT_FILE_STDOUT && fd != NT_FILE_STDERR)
		return;
	if (scan->pid) {
		if (tgid != scan->pid)
			return;
		origin = scan->origin;
		if (scan->cgroup_id)
			cgroup_id = scan->cgroup_id;
	} else {
		struct nt_cgroup *cg = bpf_map_lookup_elem(&nt_cgroups, &cgroup_id);

		if (!cg || (cg->flags & NT_CGROUP_DENIED) || !(cg->flags & NT_CGROUP_SCANNED))
			return;
		asked = nt_n_asked && (cg->flags & NT_CGROUP_ASKED);
		if (asked ? !nt_scan_asked(task, file, cgroup_id) : cg->init_pid != tgid)
			return;
	}
	if (scan->step == NT_SCAN_FILES)
		scan->found +=
			nt_register_file(nt_get_number(task, group_leader),
					 nt_fd_file_address(task, fd), cgroup_id, fd | origin << 8);
	else if (scan->step == NT_SCAN_FINISH)
		nt_scan_finish(scan, task, file, asked);
}

/* The path of a cgroup, word by word. */
struct nt_path_walk {
	struct nt_path *path;
	__u64 address;
	__u64 len;
	__u64 run; /* hexadecimal digits in a row up to here */
	__u64 end; /* behind the last row of as many as an id has; 0: none */
};

static long nt_path_read(__u32 i, struct nt_path_walk *w)
{
	__u64 at = i, word = nt_get_word(w->address + at * 8);

	barrier_var(at);
	if (at >= NT_PATH_MAX / 8)
		return 1;
	w->path->words[at] = word;
	/* A zero byte: the string ends here. */
	return ((word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull) != 0;
}

static long nt_path_judge(__u32 i, struct nt_path_walk *w)
{
	__u64 at = i;
	__u32 c;

	barrier_var(at);
	if (at >= NT_PATH_MAX)
		return 1;
	c = ((__u8 *)w->path->words)[at];
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
		w->run++;
		nt_forget(w->run);
		return 0;
	}
	if (w->run == NT_ID_DIGITS)
		w->end = at;
	w->run = nt_zero;
	nt_forget(w->end);
	if (c)
		return 0;
	w->len = at;
	return 1;
}

/* Eight bytes of the path, anywhere in it. */
static __always_inline __u64 nt_path_word(struct nt_path_walk *w, __u64 at)
{
	barrier_var(at);
	if (at > NT_PATH_MAX)
		return 0;
	return *(__u64 *)((__u8 *)w->path->words + at);
}

/* The eight that end `back` bytes before the digits, with zeros for those before the path. */
static __always_inline __u64 nt_path_word_before(struct nt_path_walk *w, __u64 digits, __u64 back)
{
	if (digits >= back + 8)
		return nt_path_word(w, digits - back - 8);
	if (digits <= back)
		return 0;
	return nt_path_word(w, 0) << (64 - 8 * (digits - back));
}

static __always_inline bool nt_path_names_container(struct nt_path_walk *w)
{
	__u64 digits = w->end - NT_ID_DIGITS;
	struct nt_around a;

	if (!w->end || digits > NT_PATH_MAX)
		return false;
	a.before[0] = nt_path_word_before(w, digits, 0);
	a.before[1] = nt_path_word_before(w, digits, 8);
	a.before[2] = nt_path_word_before(w, digits, 16);
	a.after[0] = nt_path_word(w, w->end);
	a.after[1] = nt_path_word(w, w->end + 8);
	a.after[2] = nt_path_word(w, w->end + 16);
	return nt_names_container(&a);
}

struct nt_asked_walk {
	struct nt_path *path;
	struct nt_match m;
	__u64 which; /* pattern */
	__u64 found;
};

static long nt_asked_step(__u32 i, struct nt_asked_walk *a)
{
	__u64 at = a->m.at, in = a->m.in, which = a->which;
	int r;

	barrier_var(at);
	barrier_var(in);
	barrier_var(which);
	if (at >= NT_PATH_MAX || in >= NT_ASKED_LEN || which >= NT_ASKED_MAX)
		return 1;
	r = nt_match_step(&a->m, ((char *)a->path->words)[at], nt_asked[which][in]);
	/* Or the verifier, which takes what it knows from one step to the next, tries them all. */
	a->m.at += nt_zero;
	a->m.in += nt_zero;
	a->m.star_at += nt_zero;
	a->m.star_in += nt_zero;
	a->m.widen += nt_zero;
	if (!r)
		return 0;
	a->found = r > 0;
	if (a->found)
		return 1;
	a->m.at = a->m.in = a->m.star_in = a->m.widen = nt_zero;
	a->which += 1 + nt_zero;
	return a->which >= nt_n_asked;
}

/* More than any path takes that one comes across: a pattern is gone back in for each star only. */
#define NT_ASKED_STEPS 16384

static __always_inline bool nt_path_is_asked_for(struct nt_path_walk *w)
{
	struct nt_asked_walk a = {.path = w->path};

	if (!nt_n_asked || !w->path)
		return false;
	a.m.at = a.m.in = a.m.star_at = a.m.star_in = a.m.widen = nt_zero;
	a.which = a.found = nt_zero;
	nt_loop(NT_ASKED_STEPS, 1024, nt_asked_step, &a);
	return a.found;
}

static __always_inline void nt_tell_cgroup(struct nt_path_walk *w, __u64 cgroup_id,
					   enum nt_kind kind)
{
	struct nt_cgroup_event *rec = bpf_ringbuf_reserve(&nt_ring, sizeof(*rec), 0);
	__u64 skip = 0, len = w->len;

	if (!rec) {
		nt_count(events_lost);
		return;
	}
	if (len > NT_PATH_LEN - 1)
		skip = len - (NT_PATH_LEN - 1);
	rec->hdr.kind = kind;
	rec->hdr.ring = 0;
	rec->hdr.size = sizeof(*rec);
	rec->hdr.time_ns = bpf_ktime_get_boot_ns();
	rec->hdr.cgroup_id = cgroup_id;
	rec->path_len = len - skip;
	rec->pad = 0;
	barrier_var(skip);
	if (skip > NT_PATH_MAX)
		skip = NT_PATH_MAX;
		/* What lies behind the NUL is of no path. */
#pragma unroll
	for (int i = 0; i < NT_PATH_LEN / 8; i++)
		((__u64 *)rec->path)[i] = *(__u64 *)((__u8 *)w->path->words + skip + i * 8);
	rec->path[NT_PATH_LEN - 1] = 0;
	bpf_ringbuf_submit(rec, nt_wake_flag());
	nt_count(records);
}

/* Reads the path of a cgroup; true if its name is a container's. */
static __always_inline bool nt_read_path(struct nt_path_walk *w, const char *path)
{
	__u32 zero = 0;

	w->path = bpf_map_lookup_elem(&nt_paths, &zero);
	if (!w->path)
		return false;
	w->address = (__u64)path;
	w->len = nt_zero;
	w->run = nt_zero;
	w->end = nt_zero;
	nt_loop(NT_PATH_MAX / 8, 128, nt_path_read, w);
	nt_loop(NT_PATH_MAX, 1024, nt_path_judge, w);
	return nt_path_names_container(w);
}

#endif
