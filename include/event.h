/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The only contract between the BPF programs and user space: the records of the ring and the values
 * of the maps.
 *
 * Every record begins with struct nt_hdr. `size` is what the record uses; the ring's own length may
 * be larger, since records are reserved in size classes. All integers are native, naturally
 * aligned; both sides assert the layout. Times are CLOCK_BOOTTIME nanoseconds, lengths are bytes,
 * process ids are those of the initial pid namespace.
 */
#ifndef NT_EVENT_H
#define NT_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * Moves with every change of a record, of a map's key or value, or of what they mean: maps that
 * another build pinned are taken over only if it is the same.
 */
#define NT_LAYOUT 1

#define NT_COMM_LEN 16
#define NT_PATH_LEN 256	   /* the tail of a cgroup's path, with its NUL */
#define NT_CHUNK_MAX 65536 /* most bytes of log in one record */

enum nt_kind {
	NT_KIND_DATA = 1,	 /* struct nt_data: bytes of a stream */
	NT_KIND_REGISTER = 2,	 /* struct nt_register: a file became a stream */
	NT_KIND_END = 3,	 /* struct nt_end: a stream's last record */
	NT_KIND_CGROUP_NEW = 4,	 /* struct nt_cgroup_event */
	NT_KIND_CGROUP_GONE = 5, /* struct nt_cgroup_event */
	NT_KIND_NOTE = 6,	 /* struct nt_note: a write to a stream */
	NT_KIND_TAP = 7,	 /* struct nt_register: a stream's reader or tap is another */
	NT_KIND_READER_GONE = 8, /* struct nt_reader_gone */
};

enum nt_file {
	NT_FILE_STDOUT = 1,
	NT_FILE_STDERR = 2,
	NT_FILE_TTY = 3,
};

/* Which side of the stream copies. */
enum nt_tap {
	NT_TAP_READ = 1,
	NT_TAP_WRITE = 2,
};

/* Why bytes that a tap saw are not in the ring. */
enum nt_lost {
	NT_LOST_RING_FULL = 0,
	NT_LOST_UNREADABLE = 1, /* the buffer was not there any more */
	NT_LOST_TOO_LONG = 2,	/* one call moved more than the programs' bounded loops cover */
	NT_LOST_RATE_LIMIT = 3, /* over its container's rate */
	NT_LOST_ORPHANED = 4,	/* nobody had read the ring for too long */
	NT_LOST_MAX = 5,
};

/* How a stream came to be registered. */
enum nt_origin {
	NT_ORIGIN_EXEC = 1,
	NT_ORIGIN_EXEC_FAILED = 2, /* init's program could not be executed */
	NT_ORIGIN_SCAN = 3,	   /* it ran before notail did */
	NT_ORIGIN_USER = 4,    /* --pid, -- CMD, the self-test: user space put it into the map */
	NT_ORIGIN_SESSION = 5, /* the runtime started it in a container beside init: docker exec */
	NT_ORIGIN_DONATED = 6, /* a sandbox has it open for its container, not as its own stdio */
};

enum nt_end_cause {
	NT_END_EOF = 1,	     /* the reader read the end */
	NT_END_CGROUP = 2,   /* the cgroup went, the reader never saw an end */
	NT_END_REPLACED = 3, /* the same key was registered again */
};

enum nt_key_type {
	NT_KEY_INODE =
		0, /* pipe or socket: dev = the kernel's s_dev (20 bits of minor), ino = i_ino */
	NT_KEY_TTY =
		1, /* dev 0, ino = the address of the slave's tty_struct, valid while it lives */
};

struct nt_stream_key {
	__u64 ino;
	__u32 dev;
	__u32 type; /* enum nt_key_type */
};

struct nt_hdr {
	__u16 kind; /* enum nt_kind */
	__u16 ring; /* index of the ring that holds the record */
	__u32 size; /* bytes used, this header included */
	__u64 time_ns;
	__u64 cgroup_id; /* of the unified hierarchy */
};

/* A hole before a record: bytes that the copying tap saw since the stream's last record and could
 * not deliver. */
struct nt_gap {
	__u64 bytes; /* 0: no gap */
	__u32 calls;
	__u32 reason; /* enum nt_lost, of the first call that lost */
};

/* What is known of who wrote a record. */
enum nt_known {
	NT_KNOWN_NOT = 0, /* and will not be */
	NT_KNOWN_LATER =
		1, /* a write of it has not returned: a later record of the stream may say */
	NT_KNOWN = 2,
	/* Notes say. `from`, read tap: up to this offset the stream is what the notes before it
	 * wrote, no write under way had bytes in it; ~0: that cannot be said. Write tap: the note's
	 * `at`. */
	NT_KNOWN_NOTES = 3,
};

struct nt_data {
	struct nt_hdr hdr;
	struct nt_stream_key key;
	struct nt_gap gap; /* lies before this record's bytes; its bytes are part of the offset */
	__u64 offset;	   /* of the first byte in the stream, counted from registration */
	__u64 from; /* NT_KNOWN: pid wrote all of the stream from this offset to the record's end */
	__u32 len;
	__u32 pid;		/* of the writing process; 0: not known */
	char comm[NT_COMM_LEN]; /* of the writing process, NUL-terminated; empty: not known */
	__u8 file;		/* enum nt_file */
	__u8 tap;		/* enum nt_tap */
	__u8 continues;		/* the same call goes on in this stream's next record */
	__u8 known;		/* enum nt_known */
	__u8 pad[4];
	__u8 bytes[];
};

/*
 * A call that wrote to a stream, made when it returned. Notes of a stream lie side by side: one
 * begins at `at` where another ends, in the order in which they were counted, which is not the
 * pipe's. They come in any order, before the bytes or after.
 */
struct nt_note {
	struct nt_hdr hdr;
	struct nt_stream_key key;
	__u64 at;    /* bytes of the stream that were counted before it */
	__u64 count; /* bytes */
	__u64 hash;  /* of the bytes, see NT_NOTE_MIX; if `hashed` */
	__u32 pid;   /* 0: not known */
	__u32 tid;   /* 0: not known */
	char comm[NT_COMM_LEN];
	/* As in a thread's record of its context: NT_CONTEXT_LEN bytes. All zero: none. */
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 traced; /* 1: the ids are set */
	__u8 file;
	__u8 tap;
	__u8 hashed; /* the bytes lie side by side in the pipe, too */
	__u32 image; /* asks for the struct nt_context of this program of the process; 0: does not
		      */
};

/*
 * A note's hash: h = count, then NT_NOTE_MIX of the 64-bit words of the first NT_NOTE_PART bytes,
 * of those from (count - NT_NOTE_PART) / 2 on, and of the last. With less than NT_NOTE_PART bytes,
 * three times of these, filled up with zeros. Then its lowest byte becomes the last byte.
 */
#define NT_NOTE_PART 32
#define NT_NOTE_MAX 4096 /* PIPE_BUF: nothing comes between the bytes of a write up to this */
#define NT_NOTE_MIX(h, word)                                  \
	do {                                                  \
		(h) = ((h) ^ (word)) * 0x9e3779b97f4a7c15ull; \
		(h) ^= (h) >> 32;                             \
	} while (0)

/* Value of the map nt_traces, by pid << 32 | tid: what that thread works for. Its layout is that of
 * OpenTelemetry's map traces_ctx_v1. */
struct nt_trace {
	__u8 trace_id[16];
	__u8 span_id[8];
};

/*
 * Value of the map nt_contexts, by process: where its threads keep a pointer to the record of what
 * they work for, as OpenTelemetry's SDKs publish it. User space finds it in the ELF file.
 */
struct nt_context {
	__u32 image; /* the program that it holds for: a process may execute another one */
	__u32 pad;
	__s64 offset; /* from the thread pointer; 0: it has none */
};

#define NT_CONTEXT_LEN 25 /* trace id, span id, and a byte that is 1 when they are valid */

struct nt_register {
	struct nt_hdr hdr;
	struct nt_stream_key key;
	__u32 init_pid;
	__u32 reader;		/* tgid of the process that reads the stream; 0: not known */
	char comm[NT_COMM_LEN]; /* of init */
	__u8 file;
	__u8 tap;
	__u8 origin; /* enum nt_origin */
	__u8 pipe;   /* it is one */
	__u8 pad[4];
};

struct nt_end {
	struct nt_hdr hdr;
	struct nt_stream_key key;
	struct nt_gap gap; /* lost after the last data record */
	__u64 seen;	   /* bytes that the copying tap saw: copied + lost */
	__u64 written;	   /* bytes that the write tap counted */
	__u64 lost[NT_LOST_MAX];
	__u64 before;  /* bytes in the pipe at registration; all ones: too many to add up */
	__u64 unread;  /* bytes left in the pipe when nobody read it any more */
	__u64 foreign; /* bytes that another process than the reader took */
	__u64 from;    /* as in struct nt_data, if pid is not 0 */
	__u32 pid;
	__u8 file;
	__u8 tap;
	__u8 cause; /* enum nt_end_cause */
	__u8 pad;
	char comm[NT_COMM_LEN];
};

struct nt_cgroup_event {
	struct nt_hdr hdr; /* cgroup_id: the cgroup that came or went */
	__u32 path_len;	   /* without the NUL */
	__u32 pad;
	char path[NT_PATH_LEN]; /* as the kernel prints it from the hierarchy's root; a longer one
				   keeps its tail */
};

/* Before Linux 5.13: a process that read streams ended. User space ends those whose cgroup went
 * before; and, at NT_KIND_CGROUP_GONE, those of the cgroup that nobody reads. */
struct nt_reader_gone {
	struct nt_hdr hdr;
	__u32 reader; /* tgid */
	__u32 pad;
};

/* Value of the map nt_streams, by struct nt_stream_key. Written by BPF; user space reads, inserts
 * and deletes. */
struct nt_stream {
	__u64 cgroup_id;
	__u64 seen; /* bytes that the copying tap saw: copied + lost; the next record's offset */
	__u64 lost[NT_LOST_MAX];
	__u64 next_ns;	   /* least time of the next record, so that no two overlap */
	struct nt_gap gap; /* not shown by a record yet */
	__u64 pipe;	   /* address of the pipe_inode_info, to look at only; 0: none */
	__u64 before;	   /* as in struct nt_end */
	__u64 foreign;	   /* likewise */
	__u64 unexplained; /* when the reader went: bytes neither seen nor in the pipe */
	__u64 at_write;	   /* bytes that came to the copying write tap, and NT_SWITCHED */
	__u64 taken;	   /* bytes that the reader took while the write tap copied */
	__u32 reader;	   /* tgid; 0: not known */
	__u32 init_pid;
	/* struct nt_writer; if `hot` is not 0, it is that of nt_hot[hot - 1]. User space finds it
	 * here either way: see capture__stream. */
	__u64 written;	  /* bytes counted by the write tap */
	__u64 foreign_ns; /* when a process other than writer_pid wrote last, or took over; 0: never
			   */
	__u64 writer_from; /* `written` when writer_pid took over or changed its name */
	char writer_comm[NT_COMM_LEN];
	__u32 writer_pid;
	__u32 hot;
	__u8 file;   /* enum nt_file */
	__u8 tap;    /* enum nt_tap */
	__u8 origin; /* enum nt_origin */
	__u8 denied; /* notail's own: no tap touches it */
	__u8 exact;  /* nothing was written before registration: at_write and taken may be compared
		      */
	__u8 pad[3];
};
#define NT_SWITCHED (1ull << 63) /* in at_write: the read tap copies */

/* What the write tap keeps of a stream: these fields of struct nt_stream. */
struct nt_writer {
	__u64 written;
	__u64 foreign_ns;
	__u64 writer_from;
	char writer_comm[NT_COMM_LEN];
	__u32 writer_pid;
};

/*
 * Streams whose writes are counted without a look into nt_streams, by nt_hot_slot. One keeps its
 * slot for its lifetime; one that finds it taken does without. A line of the cache each: readers
 * change what else is known of a stream.
 */
struct nt_hot {
	__u64 ino;    /* 0: free */
	__u32 dev;    /* of the key, whose type is NT_KEY_INODE */
	__u32 counts; /* 1: all that there is to do at a write is to count it */
	struct nt_writer w;
} __attribute__((aligned(64)));
#define NT_HOT 4096

static inline __u32 nt_hot_slot(__u64 ino)
{
	return ino & (NT_HOT - 1);
}

/* Value of the map nt_readers, by tgid. */
enum nt_reader {
	NT_READER = 1,	       /* has or may have a stream's read end */
	NT_READER_FOREIGN = 2, /* opened a stream that another process reads */
};

/*
 * How many streams and how many readers have numbers that end alike: a call on another file, or of
 * another process, is known by one look, without the maps. Counted before an entry is put into
 * nt_streams or nt_readers, and down again after it went; notail's own denied files are left out.
 */
#define NT_FILTER_FILES 16384
#define NT_FILTER_READERS 4096

static inline __u32 nt_filter_file_slot(__u64 ino)
{
	return (ino ^ ino >> 14) & (NT_FILTER_FILES - 1);
}

static inline __u32 nt_filter_reader_slot(__u32 tgid)
{
	return tgid & (NT_FILTER_READERS - 1);
}

/* Value of the map nt_cgroups, by cgroup id. */
struct nt_cgroup {
	__u32 init_pid; /* of the living init; 0: none seen */
	__u32 flags;	/* NT_CGROUP_* */
	__u64 full_ns;	/* when what it wrote will have passed at the rate limit */
};
#define NT_CGROUP_DENIED 1u  /* excluded: no exec in it registers anything */
#define NT_CGROUP_SCANNED 2u /* put there by the scan at start */
#define NT_CGROUP_ASKED 4u   /* not a container's by its name: asked for by its path */

/*
 * Value of the array nt_scan, key 0: what the next run of the iterator nt_scan_files does. A stream
 * that the scan found has tap 0, and neither tap touches it, until its reader is decided. So a scan
 * is three runs: NT_SCAN_FILES, NT_SCAN_READERS, NT_SCAN_FINISH, `pid` the same in all.
 */
enum nt_scan_step {
	NT_SCAN_FILES = 1, /* inserts fd 1 and 2; decides at once where the parent is the reader */
	NT_SCAN_READERS = 2, /* of the undecided: a process outside that has the other end open */
	NT_SCAN_FINISH = 3,  /* nobody has it: the write tap copies */
	NT_SCAN_HOLDERS = 4, /* by itself: who has a stream without a reader open may be its */
};

struct nt_scan {
	__u64 cgroup_id; /* given to the streams of `pid`; 0: the cgroup that it is in */
	__u32 pid;	 /* tgid; 0: each init in nt_cgroups that has NT_CGROUP_SCANNED */
	__u32 step;	 /* enum nt_scan_step */
	__u32 origin;	 /* enum nt_origin, for `pid`; each init: NT_ORIGIN_SCAN */
	__u32 found;	 /* out, added up: streams inserted, and by the later steps decided */
};

/* Where programs of two generations are attached, which take a stream's calls: nt_in_charge. The
 * lower half is the generation that has them, or has had them until now. */
#define NT_GENERATION_MASK 0xffffffffull
#define NT_HANDING (1ull << 62)	  /* the other one is about to take over */
#define NT_HANDED (1ull << 61)	  /* and has */
#define NT_NEW_FIRST (1ull << 60) /* at a call its programs run before those that are there */

/* Value of the per-CPU array nt_stats, key 0. Sums over all streams of what has no stream to be
 * counted at. */
struct nt_stats {
	__u64 records;	    /* reserved in the ring */
	__u64 streams_full; /* registrations refused: map full */
	__u64 cgroups_full;
	__u64 events_lost; /* register, end and cgroup records that the ring had no room for */
	__u64 data_lost;   /* data records the ring had no room for */
	__u64 notes_lost;
};

#ifdef __bpf__
#define NT_ASSERT _Static_assert
#else
#include <assert.h>
#define NT_ASSERT static_assert
#endif
NT_ASSERT(sizeof(struct nt_stream_key) == 16, "nt_stream_key");
NT_ASSERT(sizeof(struct nt_hdr) == 24, "nt_hdr");
NT_ASSERT(sizeof(struct nt_gap) == 16, "nt_gap");
NT_ASSERT(sizeof(struct nt_data) == 104, "nt_data");
NT_ASSERT(sizeof(struct nt_note) == 120, "nt_note");
NT_ASSERT(__builtin_offsetof(struct nt_note, trace_id) % 8 == 0 &&
		  __builtin_offsetof(struct nt_note, traced) ==
			  __builtin_offsetof(struct nt_note, trace_id) + NT_CONTEXT_LEN - 1,
	  "nt_note: a context");
NT_ASSERT(sizeof(struct nt_trace) == 24, "nt_trace");
NT_ASSERT(sizeof(struct nt_register) == 72, "nt_register");
NT_ASSERT(sizeof(struct nt_end) == 168, "nt_end");
NT_ASSERT(sizeof(struct nt_cgroup_event) == 288, "nt_cgroup_event");
NT_ASSERT(sizeof(struct nt_reader_gone) == 32, "nt_reader_gone");
NT_ASSERT(sizeof(struct nt_cgroup) == 16, "nt_cgroup");
NT_ASSERT(sizeof(struct nt_scan) == 24, "nt_scan");
NT_ASSERT(sizeof(struct nt_stream) == 192, "nt_stream");
NT_ASSERT(sizeof(struct nt_hot) == 64, "nt_hot");
NT_ASSERT(__builtin_offsetof(struct nt_stream, writer_pid) -
				  __builtin_offsetof(struct nt_stream, written) ==
			  __builtin_offsetof(struct nt_writer, writer_pid) &&
		  __builtin_offsetof(struct nt_stream, writer_comm) -
				  __builtin_offsetof(struct nt_stream, written) ==
			  __builtin_offsetof(struct nt_writer, writer_comm),
	  "nt_writer");

#endif
