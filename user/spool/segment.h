/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment file, read: its records one after the other, whatever is damaged between them. No
 * byte of it is trusted.
 */
#ifndef NOTAIL_SPOOL_SEGMENT_H
#define NOTAIL_SPOOL_SEGMENT_H

#include "base/buf.h"
#include "spool/format.h"
#include "spool/io.h"

struct segment_reader {
	const struct spool_io *io;
	int fd; /* borrowed */
	uint64_t salt;
	uint64_t offset; /* of the next record */
	uint64_t end;	 /* of the file */
	bool damaged;	 /* there was something that is no record */
	bool torn;	 /* it ends within a record */
	struct buf window;
	uint64_t window_offset;
};

/*
 * -EBADMSG: there is nothing of a segment's in it. -EPROTO: another version's. -ENODATA: it is
 * empty, or has not even a whole head. -EIO and others; -ENOMEM. A head that is damaged is no
 * error where a record tells the salt.
 */
int segment_reader__open(struct segment_reader *ret, const struct spool_io *io, int fd);
/* The fd stays open. All zero is fine. */
void segment_reader__close(struct segment_reader *r);
/*
 * The next sound head, of a record that is all there; r->offset is where it is. `*ret_rest` is
 * valid until the next call. -ENODATA: there is none any more; -errno of reading; -ENOMEM.
 */
int segment_reader__head(struct segment_reader *r, struct disk_record *ret, const char **ret_rest);
/* Over the one that segment_reader__head returned. */
void segment_reader__skip(struct segment_reader *r, const struct disk_record *head);
/* Its payload, to `ret`, which has room for it. -EBADMSG: the checksum does not fit. */
int segment_reader__payload(struct segment_reader *r, const struct disk_record *head, char *ret);

struct segment_scan {
	struct disk_summary summary; /* of records from `low` on */
	uint64_t end;		     /* of the last record */
	bool damaged, torn;
};

/*
 * What a file holds that is not acknowledged, and the streams of it (NULL: not wanted). By its
 * summary, if it has one and none of it is acknowledged.
 */
int segment__scan(const struct spool_io *io, int fd, uint64_t low, struct segment_scan *ret,
		  struct stream_map *streams);

#endif
