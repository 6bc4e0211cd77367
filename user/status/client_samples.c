/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A URL may be long and change, and may be nobody's business: the label has its host alone.
 */
#include "status/client_samples.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void name_one(const struct view_client *c, char ret[CLIENT_LABEL_LEN])
{
	const char *host = c->url ? strstr(c->url, "://") : NULL, *at;
	size_t len;

	host = host ? host + 3 : c->url ? c->url : "";
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (c->name)
		snprintf(ret, CLIENT_LABEL_LEN, "%s", c->name);
	else
		snprintf(ret, CLIENT_LABEL_LEN, "%.*s", (int)MIN(len, CLIENT_LABEL_LEN - 1), host);
}

void client_samples__label(const struct view_client *clients, size_t i, char ret[CLIENT_LABEL_LEN])
{
	char other[CLIENT_LABEL_LEN];
	size_t same = 1, len;

	name_one(&clients[i], ret);
	for (size_t j = 0; j < i; j++) {
		name_one(&clients[j], other);
		same += !strcmp(ret, other);
	}
	len = MIN(strlen(ret), CLIENT_LABEL_LEN - 8);
	if (same > 1)
		snprintf(ret + len, CLIENT_LABEL_LEN - len, "#%zu", same);
}

struct add {
	struct samples *s;
	struct sample_label label;
};

static void put(const struct add *a, enum sample_type type, const char *name, const char *help,
		uint64_t value)
{
	samples__add_labels(a->s, type, false, name, &a->label, 1, help, value);
}

static void put_ns(const struct add *a, const char *name, const char *help, uint64_t ns)
{
	samples__add_labels(a->s, SAMPLE_GAUGE, true, name, &a->label, 1, help, ns);
}

static void add_requests(const struct add *a, const struct sink_stats *stats)
{
	for (int i = 0; i < SINK_FAILURES; i++) {
		const struct sample_label labels[] = {
			a->label, {"reason", sink_failure__name((enum sink_failure)i)}};

		samples__add_labels(a->s, SAMPLE_COUNTER, false,
				    "notail_client_failed_requests_total", labels, 2,
				    "requests that failed and are sent again, by status",
				    stats->retries_by[i]);
	}
	put(a, SAMPLE_COUNTER, "notail_client_partial_batches_total",
	    "batches of which some lines were dropped or cut", stats->partial);
	put(a, SAMPLE_COUNTER, "notail_client_cut_lines_total",
	    "lines that the receiver took when they were shorter", stats->cut_lines);
	put(a, SAMPLE_COUNTER, "notail_client_cut_metadata_lines_total",
	    "lines that it took with less metadata", stats->cut_metadata);
	put_ns(a, "notail_client_last_error_timestamp_seconds",
	       "when a request failed last, Unix time; 0: none has", stats->failed_ns);
	samples__add_histogram(a->s, "notail_client_request_duration_seconds", &a->label, 1,
			       "time from sending a request to its answer", &stats->request_ns);
	samples__add_histogram(a->s, "notail_client_request_size_bytes", &a->label, 1,
			       "compressed size of requests", &stats->request_bytes);
	samples__add_histogram(a->s, "notail_write_to_ack_seconds", &a->label, 1,
			       "age of a line, from its record, when the receiver has it",
			       &stats->age_ns);
}

static void add_canary(const struct add *a, const struct sink_stats *stats)
{
	if (!stats->canary_real_ns)
		return;
	put_ns(a, "notail_canary_age_seconds",
	       "age of the last canary line that the receiver took, when it did",
	       stats->canary_age_ns);
	put_ns(a, "notail_canary_last_timestamp_seconds", "when that line was written, Unix time",
	       stats->canary_real_ns);
}

static void put_dropped(const struct add *a, const char *reason, uint64_t n)
{
	const struct sample_label labels[] = {a->label, {"reason", reason}};

	samples__add_labels(a->s, SAMPLE_COUNTER, false, "notail_client_dropped_lines_total",
			    labels, 2, "lines that the receiver did not get", n);
}

/* What no reason is known of was under way at the end. */
static void add_dropped(const struct add *a, const struct view_client *c)
{
	uint64_t rest = c->dropped_lines - MIN(c->dropped_lines, c->overflow_lines);

	for (int i = 0; i < SINK_REASONS && c->stats; i++) {
		uint64_t n = c->stats->dropped[i];

		rest -= MIN(rest, n);
		put_dropped(a, sink_reason__name((enum sink_reason)i), n);
	}
	put_dropped(a, "overflow", c->overflow_lines);
	put_dropped(a, "spool", c->spool.dropped_lines);
	put_dropped(a, "undelivered", rest);
}

static void add_spool(const struct add *a, const struct view_spool *spool)
{
	uint64_t now_ns = clock__real_ns();

	put(a, SAMPLE_GAUGE, "notail_client_spool_bytes", "of this client in the spool",
	    spool->bytes);
	put(a, SAMPLE_GAUGE, "notail_client_spool_batches", "batches of it in the spool",
	    spool->batches);
	put_ns(a, "notail_client_spool_age_seconds", "age of the oldest batch in the spool",
	       spool->oldest_real_ns ? now_ns - MIN(spool->oldest_real_ns, now_ns) : 0);
	put(a, SAMPLE_COUNTER, "notail_client_spooled_lines_total", "lines written to the spool",
	    spool->lines);
	put(a, SAMPLE_COUNTER, "notail_client_unspooled_lines_total",
	    "lines of the spool that the receiver took", spool->sent_lines);
	put(a, SAMPLE_COUNTER, "notail_client_spool_dropped_bytes_total",
	    "bytes of batches that the spool dropped: full, damaged or removed",
	    spool->dropped_bytes);
	put(a, SAMPLE_GAUGE, "notail_client_spool_up", "what has to can be written to the spool",
	    !spool->problem);
}

static void add_client(const struct add *a, const struct view_client *c)
{
	uint64_t now_ns = clock__boot_ns();

	put(a, SAMPLE_COUNTER, "notail_client_lines_total", "lines that the receiver took",
	    c->lines);
	put(a, SAMPLE_COUNTER, "notail_client_batches_total",
	    "batches that the receiver answered for good", c->batches);
	put(a, SAMPLE_COUNTER, "notail_client_sent_bytes_total", "bytes of batches, compressed",
	    c->bytes);
	put(a, SAMPLE_COUNTER, "notail_client_retries_total",
	    "tries that failed and are tried again", c->retries);
	add_dropped(a, c);
	put(a, SAMPLE_GAUGE, "notail_client_queued_bytes",
	    "batches in memory that wait for this receiver", c->queued_bytes);
	put_ns(a, "notail_client_queue_age_seconds", "age of the oldest line in its queue",
	       c->oldest_ns ? now_ns - MIN(c->oldest_ns, now_ns) : 0);
	put(a, SAMPLE_GAUGE, "notail_client_up", "the last try did not fail", !c->problem);
	if (c->stats) {
		add_requests(a, c->stats);
		add_canary(a, c->stats);
	}
	if (c->spool.used)
		add_spool(a, &c->spool);
}

void client_samples__add(struct samples *s, const struct view_client *clients, size_t n)
{
	char label[CLIENT_LABEL_LEN];

	for (size_t i = 0; i < n; i++) {
		const struct add a = {s, {"client", label}};

		client_samples__label(clients, i, label);
		add_client(&a, &clients[i]);
	}
}
