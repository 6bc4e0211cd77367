/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time zone of the system's database, read once; no global state, unlike the C library's. What
 * has no zone has a NULL one, which is UTC.
 */
#ifndef NOTAIL_PROCESS_TIME_ZONE_H
#define NOTAIL_PROCESS_TIME_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct time_zone;

/* By its name in the database (`Europe/Berlin`), `UTC`, `` or `Local` (the host's). *ret is NULL
 * for UTC. `dir` NULL: where systems have it. -ENOENT: no such zone; -EINVAL: no zone's name, or
 * the file is none; -ENOMEM and other errors of reading. */
int time_zone__load(struct time_zone **ret, const char *name, const char *dir);
/* The host has no database at all. */
bool time_zone__missing(void);
/* From a file's bytes (TZif, RFC 8536). -EINVAL, -ENOMEM. */
int time_zone__parse(struct time_zone **ret, const void *data, size_t len);
void time_zone__free(struct time_zone *z); /* NULL is fine */

/* What is added to UTC, in seconds, at a time (Unix seconds); *ret_name is the abbreviation then,
 * as long as the zone lives. ret_name may be NULL. */
int32_t time_zone__offset(const struct time_zone *z, int64_t unix_s, const char **ret_name);
/* The same of a local time, given as if it were Unix seconds: in a gap or a fold as Go does. */
int32_t time_zone__offset_of_local(const struct time_zone *z, int64_t local_s);
/* The offset that an abbreviation has in this zone, about that local time. 0 or -ENOENT. */
int time_zone__abbreviation(const struct time_zone *z, const char *name, size_t len,
			    int64_t local_s, int32_t *ret_offset);

/* Days from 1970-01-01 to a date of the Gregorian calendar; month from 1, days may overflow. */
int64_t date__days(int64_t year, unsigned month, unsigned day);
void date__of_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
