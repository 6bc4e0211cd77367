/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c, store_queue.c, drop.c and aside.c share. */
#ifndef NOTAIL_SPOOL_INTERNAL_H
#define NOTAIL_SPOOL_INTERNAL_H

#include "spool/segment.h"
#include "spool/store.h"

#define NAME_LEN 24
#define ASIDE_MAX 8

struct segment {
	uint64_t number;
	uint64_t size;
	uint64_t begin; /* of what is not out; 0: all */
	uint64_t salt;	/* while it is written */
	uint64_t first_id, last_id;
	struct spool_count total; /* while it is written: all that it was given */
	struct spool_count held, held_gaps;
	uint64_t oldest_ns, newest_ns;
	unsigned outs; /* items that are of it */
	bool read;     /* to its end */
	bool damaged;  /* said, and counted */
	bool remnant;  /* what was left of dropped ones */
	bool whole;    /* its summary would say all */
	struct segment *prev, *next;
};

struct store_queue {
	struct store *store;
	uint64_t hash;
	char name[NAME_LEN];
	int dirfd;
	struct store_memory *memory;
	struct segment *segments; /* oldest first */
	struct segment *active;	  /* the last one, while it is written; NULL: none */
	int active_fd;
	bool dirty; /* not synced */
	bool names_changed;
	struct stream_map active_streams;
	struct segment *reading; /* NULL: the first that is not read is next */
	int reading_fd;
	struct segment_reader reader;
	uint64_t next_number;
	uint64_t read_id;	       /* up to here all was returned, or is gone */
	uint64_t start_low;	       /* what is below was consumed before it was opened */
	uint64_t saved_low, saved_end; /* of the cursor file */
	bool loaded;
	bool exhausted; /* while room is made: there is none to be had here */
	struct store_queue *prev, *next;
};

/* A damaged file that was moved aside. */
struct aside {
	uint64_t hash; /* of its queue */
	char name[NAME_LEN + 16];
	uint64_t size;
	int64_t time;
};

/* The directory of a client that has no queue. */
struct leftover {
	uint64_t hash;
	uint64_t bytes;
};

struct store {
	struct store_opts opts;
	char *path;
	int dirfd, lock_fd;
	uint64_t used; /* of all files */
	struct store_queue *queues;
	struct aside asides[ASIDE_MAX]; /* oldest first */
	size_t n_asides;
	uint64_t dropped_lines, dropped_told_ns; /* since it was told */
	uint64_t corrupt_found, errors;
	char last_error[160];
	struct leftover *leftovers;
	size_t n_leftovers;
};

/* 16 digits. */
void store__name(char *out, size_t size, uint64_t number, const char *suffix);
/* -EINVAL: it is not of that form. */
int store__parse_name(const char *name, const char *suffix, uint64_t *ret_number);
/* Notes it for people; the caller decides whether it is worth a message. Returns `err`. */
int store__failed(struct store *s, int err, const char *fmt, ...) _printf_(3, 4);
void spool_count__add(struct spool_count *a, const struct spool_count *b);
void spool_count__sub(struct spool_count *a, const struct spool_count *b);
struct spool_count spool_count__of(const struct spool_record *r);

/* aside.c. Moves the file away, or removes it; it was `size` of store->used. */
void store__set_aside(struct store_queue *q, const char *name, uint64_t size);
/* Those that are there already. */
void store__find_asides(struct store *s, int dirfd, uint64_t hash);
/* -ENOENT: there is none. */
int store__drop_aside(struct store *s);
/* leftovers.c */
int store__find_leftovers(struct store *s);
/* Its files are a queue's from now on. */
void store__claim_leftover(struct store *s, uint64_t hash);
int store__drop_leftover(struct store *s);

/* store_queue.c */
void segment__name(char name[NAME_LEN], const struct segment *s);
/* What of `s` is not out. */
struct spool_count store_queue__held_alone(const struct store_queue *q, const struct segment *s);
/* Its file is not to be read again: removed, or moved aside. Frees `s`. */
void store_queue__discard(struct store_queue *q, struct segment *s);
/* If it is read, and nothing of it is out. */
void store_queue__discard_if_done(struct store_queue *q, struct segment *s);
/* What is wrong with a segment. */
const char *store_queue__describe(int err);
/* The rest of what it holds is lost. */
void store_queue__lose(struct store_queue *q, struct segment *s, enum spool_loss loss);
void store_queue__close_reader(struct store_queue *q);
/* From list and count; its file is the caller's. */
void store_queue__forget(struct store_queue *q, struct segment *s);
/* It is damaged: said once. */
void store_queue__damaged(struct store_queue *q, struct segment *s, const char *what);
uint64_t store_queue__file_bytes(const struct store_queue *q);
void store_queue__persist_cursor(struct store_queue *q);

/* append.c. With a summary. */
void store_queue__seal_active(struct store_queue *q);
void store_queue__close_active(struct store_queue *q);
int store_queue__sync(struct store_queue *q);
/* A new file with a segment's head; its descriptor, or -errno. */
int store_queue__begin_file(struct store_queue *q, const char *name, uint64_t number,
			    uint64_t *ret_salt);
/* Writes one record at *offset, and moves that. */
int store_queue__put(struct store_queue *q, int fd, uint64_t *offset, struct disk_record *head,
		     const struct spool_record *r);
/* read.c. Before the first record that is not out. */
int store_queue__open_reader(struct store_queue *q, struct segment *s);

/* drop.c. Makes room by the oldest segment of `q`, with `copies` also by those of what is out.
 * -ENOSPC: there is nothing to be dropped. */
int store_queue__drop(struct store_queue *q, bool copies);
/* For `bytes` more. -ENOBUFS: there is none to be had. */
int store__make_room(struct store *s, uint64_t bytes);

#endif
