/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and labels are what somebody's container says: they go through page__escape, and stand in
 * <bdi>, so that a right-to-left mark in one does not turn over what is next to it. What is printed
 * by format are numbers and words of our own.
 */
#include "status/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "process/preset.h"
#include "status/page_style.h"
#include "status/rates.h"

#define REFRESH_S 5
#define SHORT_ID 12

struct page {
	struct buf *out;
	int err;
};

/* Numbers and words of our own. */
static void _printf_(2, 3) put(struct page *p, const char *fmt, ...)
{
	char text[512];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!p->err)
		p->err = buf__append(p->out, text, MIN((size_t)MAX(len, 0), sizeof(text) - 1));
}

static void put_html(struct page *p, const char *html)
{
	if (!p->err)
		p->err = buf__append_str(p->out, html);
}

int page__escape(struct buf *out, const char *text)
{
	const char *end = text + strlen(text), *with;
	size_t len;
	int err = 0;

	for (; text < end && !err; text += len) {
		len = utf8__sequence(text, end);
		with = !len ? "?" : NULL;
		len = MAX(len, (size_t)1);
		if (*text == '&')
			with = "&amp;";
		else if (*text == '<')
			with = "&lt;";
		else if (*text == '>')
			with = "&gt;";
		else if (*text == '"')
			with = "&quot;";
		else if (*text == '\'')
			with = "&#39;";
		else if ((unsigned char)*text < ' ' || *text == 0x7f)
			with = "?";
		err = with ? buf__append_str(out, with) : buf__append(out, text, len);
	}
	return err;
}

static void put_value(struct page *p, const char *text)
{
	put_html(p, "<bdi>");
	if (!p->err)
		p->err = page__escape(p->out, text);
	put_html(p, "</bdi>");
}

/* Within an attribute's quotes. */
static void put_attribute(struct page *p, const char *text)
{
	if (!p->err)
		p->err = page__escape(p->out, text);
}

static void put_count(struct page *p, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++)
		put(p, "%s%c", i && (len - i) % 3 == 0 ? "&#8239;" : "", digits[i]);
}

static void put_bytes(struct page *p, double n, const char *per)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t i = 0;

	for (; n >= 1023.5 && i + 1 < ARRAY_SIZE(units); i++)
		n /= 1024;
	put(p, i && n < 99.95 ? "%.1f&#8239;%s%s" : "%.0f&#8239;%s%s", n, units[i], per);
}

static void put_duration(struct page *p, uint64_t ns)
{
	uint64_t s = ns / NS_PER_SEC;

	if (s < 120)
		put(p, "%" PRIu64 " s", s);
	else if (s < 7200)
		put(p, "%" PRIu64 " min", s / 60);
	else if (s < 172800)
		put(p, "%" PRIu64 " h", s / 3600);
	else
		put(p, "%" PRIu64 " days", s / 86400);
}

/* To the second. */
static void put_time(struct page *p, uint64_t real_ns)
{
	char text[RFC3339_LEN];

	clock__rfc3339(real_ns, text);
	put(p, "<time datetime=\"%.19sZ\">%.10s %.8s&#8239;UTC</time>", text, text, text + 11);
}

/* Parts */

struct totals {
	size_t captured, excluded, waiting, streams;
	struct rates rates;
};

static struct totals count_all(const struct view *v)
{
	struct totals t = {0};

	for (size_t i = 0; i < v->now->n_targets; i++) {
		const struct snapshot_target *target = &v->now->targets[i];

		if (target->excluded)
			t.excluded++;
		else if (target->waiting)
			t.waiting++;
		else
			t.captured += target->n > 0;
		for (size_t j = 0; j < target->n; j++) {
			struct rates r = rates__of(v, target, &v->now->streams[target->first + j]);

			t.streams++;
			t.rates.known |= r.known;
			t.rates.bytes += r.bytes;
			t.rates.lines += r.lines;
		}
	}
	return t;
}

static void put_header(struct page *p, const struct view *v)
{
	put_html(p, page_head);
	put(p, "<meta http-equiv=\"refresh\" content=\"%d\"><title>notail: ", REFRESH_S);
	put_attribute(p, v->host);
	put_html(p, "</title>");
	put_html(p, page_style);
	put_html(p, "</head><body><main><header><h1>notail</h1><span>");
	put_value(p, v->host);
	put_html(p, "</span><small>" NOTAIL_VERSION ", hooks ");
	put_value(p, v->hooks);
	put_html(p, ", up ");
	put_duration(p, v->now->real_ns - MIN(v->started_ns, v->now->real_ns));
	put_html(p, ", ");
	put_time(p, v->now->real_ns);
	put_html(p, "</small><nav><a href=\"/targets\">targets</a><a href=\"/config\">config</a>"
		    "<a href=\"/metrics\">metrics</a></nav></header>");
}

static uint64_t sum_of(const struct view *v, const char *name)
{
	size_t len = strlen(name);
	uint64_t sum = 0;

	for (size_t i = 0; i < v->samples->n; i++) {
		const struct sample *s = &v->samples->items[i];

		if (!strncmp(s->metric, name, len) &&
		    (s->metric[len] == '\0' || s->metric[len] == '{'))
			sum += s->value;
	}
	return sum;
}

static void put_cards(struct page *p, const struct view *v, const struct totals *t)
{
	uint64_t lost =
		sum_of(v, "notail_lost_bytes_total") + sum_of(v, "notail_missing_bytes_total");
	uint64_t dropped = sum_of(v, "notail_dropped_lines_total");

	put_html(p, "<div class=\"cards\"><div class=\"card\"><b>");
	if (t->rates.known)
		put_count(p, (uint64_t)(t->rates.lines + 0.5));
	else
		put_html(p, "&ndash;");
	put_html(p, "</b><span>lines per second</span></div><div class=\"card\"><b>");
	if (t->rates.known)
		put_bytes(p, t->rates.bytes, "/s");
	else
		put_html(p, "&ndash;");
	put_html(p, "</b><span>of log</span></div><div class=\"card\"><b>");
	put_count(p, t->captured);
	put(p, "</b><span>containers, %zu streams", t->streams);
	if (t->excluded)
		put(p, ", %zu excluded", t->excluded);
	if (t->waiting)
		put(p, ", %zu unnamed", t->waiting);
	put(p, "</span></div><div class=\"card\"><b%s>", lost ? " class=\"bad\"" : "");
	put_bytes(p, (double)lost, "");
	put(p, "</b><span>lost in all</span></div><div class=\"card\"><b%s>",
	    dropped ? " class=\"bad\"" : "");
	put_count(p, dropped);
	put_html(p, "</b><span>lines not delivered</span></div><div class=\"card\"><b>");
	put_bytes(p, (double)v->now->ring_used_bytes, "");
	put_html(p, "</b><span>of ");
	put_bytes(p, (double)v->now->ring_bytes, "");
	put(p,
	    " ring in use</span><meter min=\"0\" max=\"1\" low=\"0.5\" high=\"0.8\" "
	    "optimum=\"0\" value=\"%.3f\"></meter></div></div>",
	    v->now->ring_bytes ? (double)v->now->ring_used_bytes / (double)v->now->ring_bytes : 0);
}

static void put_note(struct page *p, bool bad, const char *what, const char *text)
{
	put(p, "<div class=\"note%s\">", bad ? " bad" : "");
	put_value(p, what);
	put_html(p, ": ");
	put_value(p, text);
	put_html(p, "</div>");
}

static void put_guarded(struct page *p, const struct snapshot *s)
{
	if (!s->n_labels)
		return;
	put_html(p, "<div class=\"note\">Too many values: structured metadata instead of ");
	put(p, "label%s ", s->n_labels == 1 ? "" : "s");
	for (size_t i = 0; i < s->n_labels; i++) {
		put_html(p, i ? ", <b>" : "<b>");
		put_value(p, s->labels[i].name);
		put_html(p, "</b> since ");
		put_time(p, s->labels[i].since_ns);
	}
	put_html(p, "</div>");
}

static void put_notes(struct page *p, const struct view *v)
{
	if (v->config.problem) {
		put_html(p, "<div class=\"note bad\">");
		put_value(p, v->config.file ? v->config.file : "");
		put_html(p, ", read again ");
		put_time(p, v->config.problem_ns);
		put_html(p, ", is not in force: ");
		put_value(p, v->config.problem);
		put_html(p, "</div>");
	}
	if (v->engine.problem)
		put_note(p, false, v->engine.host, v->engine.problem);
	if (v->source.problem)
		put_note(p, false, v->source.url, v->source.problem);
	for (size_t i = 0; i < v->n_clients; i++)
		if (v->clients[i].problem)
			put_note(p, true, v->clients[i].url, v->clients[i].problem);
	put_guarded(p, v->now);
	if (v->now->failed)
		put_note(p, true, "incomplete", "there was no memory for all of this page");
}

static bool has_label(const struct label_set *set, const struct label *l)
{
	const char *value = label_set__get(set, l->name);

	return value && !strcmp(value, l->value);
}

/* `first`: of the container, that has been shown; NULL: none has. */
static void put_labels(struct page *p, const struct snapshot_stream *s,
		       const struct snapshot_stream *first)
{
	if (s->dropped || !s->set) {
		put(p, "<span class=\"soft\">%s</span>",
		    s->dropped ? "dropped: no rule keeps it, or it is not asked for"
		    : s->lines ? "its lines wait"
			       : "no line yet");
		return;
	}
	put_html(p, "<div class=\"chips\">");
	for (size_t i = 0; i < s->set->n_labels; i++) {
		const struct label *l = &s->set->labels[i];

		if (first && first->set && has_label(first->set, l))
			continue;
		put_html(p, "<span class=\"chip\" title=\"");
		put_attribute(p, l->value);
		put_html(p, "\"><i>");
		put_value(p, l->name);
		put_html(p, "=</i>");
		put_value(p, l->value);
		put_html(p, "</span>");
	}
	put_html(p, "</div>");
}

/* Of so many rows. */
static void put_name(struct page *p, const struct snapshot_target *t, size_t rows)
{
	const struct meta *m = t->meta;
	const char *namespace = m ? preset__namespace(m) : NULL, *pod = m ? preset__pod(m) : NULL;
	char id[SHORT_ID + 1] = "";

	if (m && m->id)
		snprintf(id, sizeof(id), "%s", m->id);
	put(p, "<td class=\"name\" rowspan=\"%zu\"><b>", rows);
	put_value(p, m && m->id && !m->name ? id : snapshot_target__name(t));
	put_html(p, "</b>");
	if (namespace && pod) {
		put_html(p, "<small>");
		put_value(p, namespace);
		put_html(p, "/");
		put_value(p, pod);
		put_html(p, "</small>");
	}
	put_html(p, "<small>");
	put_value(p, m && m->id && m->name ? id : "");
	if (m && m->image) {
		put_html(p, " ");
		put_value(p, m->image);
	}
	if (t->waiting)
		put(p, " <span class=\"warn\">waiting for its %s</span>",
		    m && m->pod_state == META_POD_AWAITED ? "pod's labels" : "name");
	put_html(p, "</small></td>");
}

static void put_rate(struct page *p, const struct view *v, const struct snapshot_target *t,
		     const struct snapshot_stream *s)
{
	struct rates r = rates__of(v, t, s);

	put_html(p, "<td class=\"n\" data-l=\"rate\">");
	if (r.known)
		put_bytes(p, r.bytes, "/s");
	else
		put_html(p, "&ndash;");
	put_html(p, "</td>");
}

static void put_stream(struct page *p, const struct view *v, const struct snapshot_target *t,
		       const struct snapshot_stream *s, const struct snapshot_stream *first)
{
	put_html(p, first ? "<tr class=\"again\">" : "<tr>");
	if (!first)
		put_name(p, t, t->n);
	put(p, "<td data-l=\"stream\">%s%s</td><td class=\"tap\" data-l=\"tap\">%s",
	    snapshot_stream__file(s), s->session ? " <small>exec</small>" : "",
	    s->tap_write ? "write" : "read");
	put_html(p, " <small>");
	put_value(p, s->why);
	put_html(p, "</small></td>");
	put_rate(p, v, t, s);
	put_html(p, "<td class=\"n\" data-l=\"lines\">");
	put_count(p, s->lines);
	put_html(p, "</td><td class=\"n\" data-l=\"written\">");
	if (s->counted)
		put_bytes(p, (double)s->written, "");
	else
		put_html(p, "&ndash;");
	put_html(p, "</td><td class=\"n\" data-l=\"captured\">");
	put_bytes(p, (double)(s->read - MIN(s->lost, s->read)), "");
	put(p, "</td><td class=\"n %s\" data-l=\"lost\">", s->lost ? "bad" : "zero");
	put_bytes(p, (double)s->lost, "");
	if (s->incomplete)
		put_html(p, "<br><small class=\"warn\">incomplete</small>");
	put_html(p, "</td><td class=\"labels\">");
	put_labels(p, s, first);
	put_html(p, "</td></tr>");
}

/* Nobody wants what it writes. */
static bool is_dropped(const struct snapshot *s, const struct snapshot_target *t)
{
	bool dropped = false;

	for (size_t i = 0; i < t->n; i++) {
		if (s->streams[t->first + i].set)
			return false;
		dropped |= s->streams[t->first + i].dropped;
	}
	return dropped;
}

static size_t put_target(struct page *p, const struct view *v, const struct snapshot_target *t)
{
	const struct snapshot_stream *first = &v->now->streams[t->first];

	for (size_t i = 0; i < t->n; i++)
		put_stream(p, v, t, first + i, i ? first : NULL);
	if (t->n)
		return t->n;
	put_html(p, "<tr>");
	put_name(p, t, 1);
	put_html(p, "<td colspan=\"8\" class=\"soft all\">no stream is registered</td></tr>");
	return 1;
}

/* Those that somebody wants come first. What no engine names and nothing writes to are cgroups that
 * somebody left. */
static void put_targets(struct page *p, const struct view *v)
{
	const struct snapshot *now = v->now;
	size_t shown = 0, hidden = now->left_out;

	put_html(p, "<h2>Containers");
	if (v->before)
		put(p, " <small>rates over the last %.0f s</small>", rates__seconds(v));
	put_html(p, "</h2><div class=\"box\"><table class=\"wide\"><thead><tr><th>container</th>"
		    "<th>stream</th><th>tap</th><th class=\"n\">rate</th><th class=\"n\">lines</th>"
		    "<th class=\"n\">written</th><th class=\"n\">captured</th>"
		    "<th class=\"n\">lost</th><th>labels</th></tr></thead><tbody>");
	for (int dropped = 0; dropped <= 1; dropped++) {
		for (size_t i = 0; i < now->n_targets; i++) {
			const struct snapshot_target *t = &now->targets[i];

			if (t->excluded || is_dropped(now, t) != dropped)
				continue;
			if (shown < PAGE_MAX_STREAMS && (t->n || (t->meta && t->meta->name)))
				shown += put_target(p, v, t);
			else
				hidden++;
		}
	}
	if (!shown)
		put_html(p, "<tr><td colspan=\"9\" class=\"soft all\">None runs, or none is "
			    "wanted.</td></tr>");
	put_html(p, "</tbody></table></div>");
	if (hidden)
		put(p,
		    "<p class=\"soft\">%zu without a name or streams, or over %d, are not shown "
		    "here; <a href=\"/targets\">/targets</a> has up to %d.</p>",
		    hidden, PAGE_MAX_STREAMS, SNAPSHOT_MAX_TARGETS);
}

static void put_excluded(struct page *p, const struct view *v, const struct totals *t)
{
	size_t shown = 0;

	if (!t->excluded)
		return;
	put(p, "<h2>Excluded</h2><div class=\"box\"><table><tbody>");
	for (size_t i = 0; i < v->now->n_targets && shown < PAGE_MAX_STREAMS; i++) {
		const struct snapshot_target *target = &v->now->targets[i];

		if (!target->excluded)
			continue;
		shown++;
		put_html(p, "<tr>");
		put_name(p, target, 1);
		put_html(p, "<td>");
		put_html(p, target->opt_out ? "by " : "no rule keeps it");
		if (target->opt_out) {
			put_html(p, "<code>");
			put_value(p, target->opt_out);
			put_html(p, "</code>");
		}
		put_html(p, "</td></tr>");
	}
	put_html(p, "</tbody></table></div>");
}

static void put_age(struct page *p, uint64_t since_ns, uint64_t now_ns)
{
	if (!since_ns || now_ns - MIN(since_ns, now_ns) < NS_PER_SEC)
		return;
	put_html(p, "<br><small>oldest ");
	put_duration(p, now_ns - since_ns);
	put_html(p, "</small>");
}

static void put_spool(struct page *p, const struct view_spool *s)
{
	if (!s->used) {
		put_html(p, "&ndash;");
		return;
	}
	put_bytes(p, (double)s->bytes, "");
	put_age(p, s->oldest_real_ns, clock__real_ns());
	if (s->dropped_lines) {
		put_html(p, "<br><small class=\"bad\">");
		put_count(p, s->dropped_lines);
		put_html(p, " lines dropped</small>");
	}
}

static void put_client(struct page *p, const struct view_client *c)
{
	put_html(p, "<tr><td class=\"name\"><b>");
	put_value(p, c->name ? c->name : c->url);
	put_html(p, "</b><small>");
	put_value(p, c->name ? c->url : "");
	put_html(p, "</small></td><td class=\"n\" data-l=\"lines\">");
	put_count(p, c->lines);
	put_html(p, "</td><td class=\"n\" data-l=\"sent\">");
	put_bytes(p, (double)c->bytes, "");
	put_html(p, "</td><td class=\"n\" data-l=\"waiting\">");
	put_bytes(p, (double)c->queued_bytes, "");
	put_age(p, c->oldest_ns, clock__boot_ns());
	put_html(p, "</td><td class=\"n\" data-l=\"spool\">");
	put_spool(p, &c->spool);
	put(p, "</td><td class=\"n\" data-l=\"retries\">");
	put_count(p, c->retries);
	put(p, "</td><td class=\"n%s\" data-l=\"dropped\">", c->dropped_lines ? " bad" : "");
	put_count(p, c->dropped_lines);
	put_html(p, "</td><td class=\"text all\">");
	if (c->problem || c->spool.problem) {
		put_html(p, "<span class=\"bad\">");
		put_value(p, c->problem ? c->problem : "");
		put_html(p, c->problem && c->spool.problem ? "; spool: " : "");
		put_value(p, c->spool.problem ? c->spool.problem : "");
		put_html(p, "</span>");
	} else {
		put_html(p, "<span class=\"good\">in order</span>");
	}
	put_html(p, "</td></tr>");
}

static void put_clients(struct page *p, const struct view *v)
{
	put_html(p,
		 "<h2>Receivers</h2><div class=\"box\"><table class=\"wide\"><thead><tr><th></th>"
		 "<th class=\"n\">lines</th><th class=\"n\">sent</th><th class=\"n\">waiting</th>"
		 "<th class=\"n\">spool</th><th class=\"n\">retries</th><th "
		 "class=\"n\">dropped</th><th></th></tr></thead>"
		 "<tbody>");
	for (size_t i = 0; i < v->n_clients; i++)
		put_client(p, &v->clients[i]);
	if (v->prints)
		put_html(p, "<tr><td class=\"name\"><b>standard output</b></td>"
			    "<td colspan=\"7\" class=\"all\"></td></tr>");
	put_html(p, "</tbody></table></div>");
}

static void put_durable(struct page *p, const struct view_durable *d)
{
	if (d->state == DURABLE_YES)
		put_html(p, "<span class=\"good\">yes</span>: capture goes on without notail");
	else if (d->state == DURABLE_PRIVATE)
		put_html(p, "no: it ends with notail, and is not to outlive it");
	else
		put_html(p, "<span class=\"warn\">no</span>: ");
	put_value(p, d->why ? d->why : "");
	if (d->adopted)
		put_html(p, "; the ring of the run before was taken over");
}

static void put_pods(struct page *p, const struct view_source *s)
{
	if (!s->kind)
		return;
	put_html(p, "<tr><th>pods</th><td class=\"text\">");
	put_value(p, s->kind);
	put_html(p, " ");
	put_value(p, s->url);
	put_html(p, s->up ? ", <span class=\"good\">connected</span> since "
			  : ", <span class=\"warn\">not connected: pods have what their bundles "
			    "say</span> since ");
	put_time(p, s->since_ns);
	put(p, "; %zu pods</td></tr>", s->pods);
}

static void put_sources(struct page *p, const struct view *v)
{
	const struct view_engine *e = &v->engine;
	const struct view_config *c = &v->config;

	put_html(p, "<h2>Sources</h2><div class=\"box\"><table><tbody><tr><th>names</th>"
		    "<td class=\"text\">");
	put_value(p, e->host ? e->host : e->unasked ? e->unasked : "");
	if (e->version) {
		put_html(p, ", API ");
		put_value(p, e->version);
		put_html(p, e->problem ? "" : " <span class=\"good\">connected</span>");
	} else if (e->host) {
		put_html(p, " <span class=\"warn\">not connected: containers have their ids alone"
			    "</span>");
	}
	put_html(p, "</td></tr>");
	put_pods(p, &v->source);
	put_html(p, "<tr><th>configuration</th><td class=\"text\">");
	put_value(p, c->file ? c->file : "none: the command line and defaults");
	if (c->file) {
		put_html(p, " as it was ");
		put_time(p, c->since_ns);
	}
	put_html(p, "</td></tr><tr><th>durable</th><td class=\"text\">");
	put_durable(p, &v->durable);
	put_html(p, "</td></tr><tr><th>hooks</th><td class=\"text\">");
	put_value(p, v->hooks);
	if (*v->hooks_why) {
		put_html(p, " <small>");
		put_value(p, v->hooks_why);
		put_html(p, "</small>");
	}
	put_html(p, "</td></tr></tbody></table></div>");
}

static void put_messages(struct page *p, const struct view *v)
{
	if (!v->n_messages)
		return;
	put(p, "<h2>Last messages</h2><div class=\"box\"><table><tbody>");
	for (size_t i = 0; i < v->n_messages; i++) {
		const struct log_message *m = &v->messages[i];

		put_html(p, "<tr><th>");
		put_time(p, m->real_ns);
		put(p, "</th><td class=\"%s\">%s</td><td class=\"text\">",
		    m->level == LOG_ERROR ? "bad" : "warn",
		    m->level == LOG_ERROR ? "error" : "warning");
		put_value(p, m->text);
		put_html(p, "</td></tr>");
	}
	put_html(p, "</tbody></table></div>");
}

static void put_counters(struct page *p, const struct view *v)
{
	put_html(p, "<h2>Counted since the start</h2><div class=\"box\"><table><tbody>");
	for (size_t i = 0; i < v->samples->n; i++) {
		const struct sample *s = &v->samples->items[i];

		if (!s->value || s->type != SAMPLE_COUNTER)
			continue;
		put_html(p, "<tr><td><code>");
		put_value(p, s->metric);
		put_html(p, "</code></td><td class=\"n\">");
		if (s->ns)
			put(p, "%.3f", (double)s->value / NS_PER_SEC);
		else
			put_count(p, s->value);
		put_html(p, "</td><td class=\"soft\">");
		put_value(p, s->help);
		put_html(p, "</td></tr>");
	}
	put_html(p, "</tbody></table></div>");
}

int page__html(const struct view *v, struct buf *out)
{
	struct page p = {.out = out};
	const struct totals totals = count_all(v);

	put_header(&p, v);
	put_cards(&p, v, &totals);
	put_notes(&p, v);
	put_targets(&p, v);
	put_excluded(&p, v, &totals);
	put_clients(&p, v);
	put_sources(&p, v);
	put_messages(&p, v);
	put_counters(&p, v);
	put_html(&p, "</main></body></html>\n");
	return p.err;
}
