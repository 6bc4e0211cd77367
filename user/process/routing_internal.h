/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of routing.h share. */
#ifndef NOTAIL_PROCESS_ROUTING_INTERNAL_H
#define NOTAIL_PROCESS_ROUTING_INTERNAL_H

#include "base/arena.h"
#include "config/config.h"
#include "process/asked.h"
#include "process/limits.h"
#include "process/preset.h"
#include "process/routing.h"

#define MAX_REASONS 64

/* A job's stages, by what the container asks for: with its own multiline before them, for preset
 * strict. Those that are not the job's own are made when they are asked for. */
#define VARIANT_MULTILINE 1u
#define VARIANT_STRICT 2u
#define VARIANTS 4u

struct compiled {
	struct relabel *relabel;
	struct program *programs[VARIANTS]; /* NULL: not made */
};

struct total {
	char *reason;
	uint64_t lines, bytes;
};

struct totals {
	struct total drops[MAX_REASONS];
	size_t n_drops;
	struct stage_counters stages;
	struct limits_counters limits;
	uint64_t relabel_limited;
};

struct routing {
	struct config *config; /* NULL: none */
	struct routing_opts opts;
	char *host;
	const char *hook_set;
	struct preset_opts preset;
	struct label_pair *external_labels;
	struct config_job any; /* without a configuration: every container */
	const struct config_job *jobs;
	struct compiled *compiled; /* as jobs */
	size_t n_jobs;
	struct limits *limits; /* NULL: none */
	const struct marks *marks;
	struct asked_told told;
	struct arena arena; /* of one route */
	void (*line)(void *ctx, struct label_set *set, const struct line *line);
	void *ctx;
	uint64_t checked_ns;
	uint64_t checks;
	unsigned said_missing;
	bool said_left_out;
	struct totals before;
};

/* Up to routing__n_programs; NULL: it is not made. */
static inline struct program *routing__program(const struct routing *r, size_t i)
{
	return r->compiled[i / VARIANTS].programs[i % VARIANTS];
}

static inline size_t routing__n_programs(const struct routing *r)
{
	return r->compiled ? r->n_jobs * VARIANTS : 0;
}

#endif
