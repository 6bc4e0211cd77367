/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of a run, as the configuration or --loki has them: each pushes to one Loki what comes
 * out of the outputs, at its own pace, with a queue in the spool behind it. Loop's thread.
 */
#ifndef NOTAIL_CLIENTS_H
#define NOTAIL_CLIENTS_H

#include <stddef.h>

#include "config/config.h"
#include "config/options.h"
#include "io/http.h"
#include "outputs.h"
#include "status/view.h"

struct clients;
struct loki_sink;

/* None is fine. `opts` and what it borrows must outlive them. */
int clients__new(struct clients **ret, const struct options *opts);
/* Batches that are still queued, and neither in the spool nor in a ring that stays, are counted as
 * not delivered. Before the outputs are freed. */
void clients__disconnect(struct clients *c);
/* After the outputs, which borrow external labels. NULL is fine. */
void clients__free(struct clients *c);
/* Their outputs, as in struct outputs_opts: the others stay as they are. */
void clients__outputs(struct clients *c, bool enabled[PIPELINE_OUTPUTS],
		      struct batch_opts batches[PIPELINE_OUTPUTS]);
/* Takes batches from there from now on. Text in ret_why where strerror does not say enough.
 */
int clients__connect(struct clients *c, struct loop *loop, struct http *http,
		     struct outputs *outputs, struct counters *counters, char *ret_why,
		     size_t size);
/* The ring outlives the process. */
void clients__durable(struct clients *c, bool durable);
/* It ends within timeout_ns: what is not delivered goes to the spool in time. */
void clients__end(struct clients *c, uint64_t timeout_ns);
/* Each one as it is now, VIEW_MAX_CLIENTS at most; borrowed until the loop goes on. How many. */
size_t clients__look(const struct clients *c, struct view_client *ret);
void clients__look_at_spool(const struct clients *c, struct view_spool_files *ret);
size_t clients__count(const struct clients *c);
/* The sink of client i alone, the caller's, without a pipeline before it: for a check. */
int clients__sink(struct clients *c, size_t i, struct loop *loop, struct http *http,
		  sink_done_fn done, void *ctx, struct loki_sink **ret, const char **ret_why);

#endif
