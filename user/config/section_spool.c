/* SPDX-License-Identifier: Apache-2.0 */
/* The section spool. */
#include "config/sections.h"

#include "config/config.h"
#include "config/values.h"
#include "spool/spool.h"

static const char *const SPOOL_FSYNCS[] = {[SPOOL_FSYNC_INTERVAL] = "interval",
					   [SPOOL_FSYNC_SEGMENT] = "segment",
					   [SPOOL_FSYNC_NONE] = "none",
					   NULL};
static const char *const SPOOL_ORDERS[] = {[SPOOL_OLDEST_FIRST] = "oldest_first",
					   [SPOOL_LIVE_FIRST] = "live_first",
					   [SPOOL_BACKFILL] = "backfill",
					   NULL};

static const struct field SPOOL_FIELDS[] = {
	FIELD(struct config_spool, directory, FIELD_STRING, .dflt = SPOOL_DEFAULT_DIRECTORY,
	      .doc = "Where its files are; off: none."),
	FIELD(struct config_spool, max_size, FIELD_SIZE, .dflt = "1GiB", .min = SPOOL_MIN_BYTES,
	      .max = 1ll << 42,
	      .doc = "Of all files. When it is full the oldest goes, counted, and a line in Loki "
		     "says so."),
	FIELD(struct config_spool, segment_size, FIELD_SIZE, .dflt = "16MiB",
	      .min = SPOOL_MIN_SEGMENT_BYTES, .max = 1 << 30,
	      .doc = "Of one file; never over a sixteenth of max_size."),
	FIELD(struct config_spool, fsync, FIELD_ENUM, .names = SPOOL_FSYNCS, .dflt = "interval",
	      .doc = "When it is made to survive a loss of power: interval is each second and each "
		     "full file."),
	FIELD(struct config_spool, order, FIELD_ENUM, .names = SPOOL_ORDERS, .dflt = "oldest_first",
	      .doc = "oldest_first keeps each stream in order; live_first sends what is new at "
		     "once "
		     "while the backlog is younger than 45 minutes, for later Loki would refuse "
		     "it; "
		     "backfill does so always and gives the backlog the label backfill=\"true\"."),
	FIELD(struct config_spool, drain_rate, FIELD_SIZE, .dflt = "64MiB", .max = 1ll << 40,
	      .doc = "Bytes of lines a second that the backlog is sent with; 0: no bound."),
	{0},
};

static void check_spool(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_spool *s = object;
	const char *expected = values__check_spool_directory(s->directory);

	if (expected)
		diag__error(diag, node__get(node, "directory"), "\"%s\", expected %s", s->directory,
			    expected);
}

const struct schema config_spool_schema = {
	.name = "spool",
	.size = sizeof(struct config_spool),
	.fields = SPOOL_FIELDS,
	.check = check_spool,
};
