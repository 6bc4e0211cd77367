/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed at any record of a run in which containers get other names and labels, the
 * guard takes labels and the clock steps. Its successor knows other things of the containers, reads
 * the same records, and must send what was sent with the same labels and times.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "containers/pod.h"
#include "process/routing.h"
#include "state/decisions.h"
#include "streams/no_kernel.h"
#include "streams/streams.h"

#define HALF (64u << 10)
#define N_CONTAINERS 4u
#define N_STEPS 260u
#define STEP_NS (10 * NS_PER_MS)
#define STEP_BYTES 512u
#define BASE_NS 1795236000000000000ll
#define OUT_MAX 4096u

#define RULES                                                                                 \
	"limits: {label_values: 4, guard_window: 1h, guard_reset: 1s}\n"                      \
	"relabel_configs:\n"                                                                  \
	"- {source_labels: [__meta_docker_container_label_tier], target_label: tier}\n"       \
	"- {source_labels: [__meta_docker_container_label_tier], regex: out, action: drop}\n" \
	"- {source_labels: [__meta_kubernetes_pod_label_tier, __meta_kubernetes_pod_phase,\n" \
	"   __meta_kubernetes_pod_annotation_note, __meta_kubernetes_pod_container_init,\n"   \
	"   __meta_kubernetes_pod_deployment_name, __address__], target_label: of_pod}\n"     \
	"pipeline_stages:\n"                                                                  \
	"- {multiline: {firstline: '^[^ ]', max_wait_time: 3s}}\n"                            \
	"- {regex: {expression: 'user=(?P<user>[0-9]+)'}}\n"                                  \
	"- {labels: {user: }}\n"

enum what { DATA, NEW, REGISTERED, END, GONE, PUBLISH, NEVER, CLOCK, RELOAD, N_WHATS };

struct step {
	enum what what;
	unsigned container;
	enum nt_file file;
	unsigned tier; /* of PUBLISH: label and name; 0: excluded by a rule */
	int64_t offset_ns;
	char text[64];
};

struct sent {
	uint64_t time_ns; /* each of a (container, file) is one of a kind */
	unsigned container;
	enum line_stream file;
	char *text;
};

struct process {
	unsigned char *memory;
	struct registry *registry;
	struct counters counters;
	struct streams *streams;
	struct decisions *decisions; /* NULL: it journals nothing */
	struct clock_anchor anchor;
	uint64_t offsets[N_CONTAINERS][3];
	uint64_t pos; /* behind the record that was read last */
	struct sent sent[OUT_MAX];
	size_t n_sent;
};

struct world {
	struct step steps[N_STEPS];
	unsigned char *memory[N_STEPS + 1]; /* as of before the step */
	size_t n_sent[N_STEPS + 1];
};

static uint64_t cgroup_of(unsigned container)
{
	return 4711 + container;
}

static void id_of(unsigned container, char *out)
{
	snprintf(out, 65, "%02x%062x", 0xa0 + container, container);
}

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct process *p = ctx;
	struct sent *s = &p->sent[p->n_sent++];
	_buf_ struct buf out = {0};

	assert_true(p->n_sent < OUT_MAX);
	buf__printf(&out, "%s", set->text);
	for (size_t i = 0; i < set->n_metadata; i++)
		buf__printf(&out, " %s=%s", set->metadata[i].name, set->metadata[i].value);
	for (size_t i = 0; i < line->n_metadata; i++)
		buf__printf(&out, " %s=%.*s", line->metadata[i].name, (int)line->metadata[i].len,
			    line->metadata[i].value);
	buf__printf(&out, " @%llu %.*s",
		    (unsigned long long)(line->real_ns ? line->real_ns
						       : clock__to_real(&p->anchor, line->time_ns)),
		    (int)line->len, line->bytes);
	buf__append(&out, "", 1);
	s->time_ns = line->time_ns;
	s->container = (unsigned)(line->cgroup_id - cgroup_of(0));
	s->file = line->stream;
	s->text = TAKE_PTR(out.data);
}

static void ring(void *ctx, struct streams_ring *ret)
{
	const struct process *p = ctx;

	*ret = (struct streams_ring){.read = p->pos, .written = N_STEPS * STEP_BYTES};
}

static struct routing *rules(void)
{
	const struct routing_opts opts = {.host = "node1"};
	struct config *config = NULL;
	struct routing *routing;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(config__parse(&config, RULES, strlen(RULES), NULL, NULL, NULL, diag), 0);
	assert_int_equal(routing__new(&routing, config, &opts, diag), 0);
	diag__free(diag);
	return routing;
}

/* Reads on behind `until` what another one has read. `memory` NULL: without a journal. */
static struct process *process__new(const unsigned char *memory, uint64_t until)
{
	struct process *p = calloc(1, sizeof(*p));
	struct streams_opts opts = {
		.counters = &p->counters,
		.routing = rules(),
		.line = on_line,
		.kernel_stream = no_kernel__stream,
		.forget = no_kernel__forget,
		.exclude = no_kernel__exclude,
		.ring = ring,
		.lives = no_kernel__lives,
		.reads = no_kernel__reads,
		.holds = no_kernel__holds,
		.orphans = no_kernel__orphans,
		.anchor = &p->anchor,
		.ctx = p,
	};
	void *halves[2];

	p->anchor.offset_ns = BASE_NS;
	assert_int_equal(registry__new(&p->registry), 0);
	opts.registry = p->registry;
	assert_int_equal(streams__new(&p->streams, &opts), 0);
	if (!memory)
		return p;
	p->memory = malloc(2 * HALF);
	memcpy(p->memory, memory, 2 * HALF);
	halves[0] = p->memory;
	halves[1] = p->memory + HALF;
	assert_int_equal(decisions__new(&p->decisions, halves, HALF, &p->counters), 0);
	if (decisions__clock(p->decisions, &p->anchor))
		decisions__add_clock(p->decisions, &p->anchor);
	streams__decide_by(p->streams, p->decisions, until);
	return p;
}

static void process__free(struct process *p)
{
	streams__free(p->streams);
	registry__free(p->registry);
	decisions__free(p->decisions);
	for (size_t i = 0; i < p->n_sent; i++)
		free(p->sent[i].text);
	free(p->memory);
	free(p);
}

/* A pod's labels, its phase and its containers change as those of a container do. */
static void add_pod(struct meta *m, unsigned tier, const char *name)
{
	_pod_ struct pod *pod = pod__new();
	struct pod_container *c;
	char text[16];

	snprintf(text, sizeof(text), "%u", tier);
	pod->uid = strdup("uid");
	pod->ip = tier % 3 ? strdup("10.0.0.1") : NULL;
	pod->phase = strdup(tier % 2 ? "Running" : "Pending");
	pod->controller_kind = strdup("ReplicaSet");
	pod->controller_name = strdup("web-6d45d4ccfb");
	assert_int_equal(pod__add_label(pod, "tier", text), 0);
	assert_int_equal(pod__add_label(pod, "pod-template-hash", "6d45d4ccfb"), 0);
	assert_int_equal(pod__add_annotation(pod, "note", name), 0);
	pod__add_container(pod, "other");
	c = pod__add_container(pod, "c");
	c->kind = tier % 2 ? POD_CONTAINER_INIT : POD_CONTAINER;
	assert_int_equal(pod_container__add_port(c, "http", (uint16_t)(tier + 1), "TCP"), 0);
	assert_int_equal(meta__add_label(m, META_POD_NAME_LABEL, "web-6d45d4ccfb-9w4l7"), 0);
	assert_int_equal(meta__add_label(m, META_POD_CONTAINER_LABEL, "c"), 0);
	assert_int_equal(meta__set_pod(m, pod, META_POD_KNOWN), 0);
}

static void publish(struct process *p, unsigned container, unsigned tier, const char *name)
{
	struct meta *m = meta__new();
	char text[80];

	id_of(container, text);
	m->engine = strdup("docker");
	m->id = strdup(text);
	snprintf(text, sizeof(text), "%s%u-%u", name, container, tier);
	m->name = strdup(text);
	snprintf(text, sizeof(text), "%u", tier);
	meta__add_label(m, "tier", tier ? text : "out");
	meta__add_label(m, "com.docker.compose.service", name);
	if (container % 2)
		add_pod(m, tier, name);
	assert_int_equal(registry__publish(p->registry, m), 0);
}

static void never(struct process *p, unsigned container)
{
	char id[65];

	id_of(container, id);
	registry__never(p->registry, id);
}

static void data(struct process *p, const struct step *s, struct nt_hdr hdr,
		 const struct nt_stream_key *key, uint64_t pos)
{
	size_t len = strlen(s->text);
	struct nt_data *d = calloc(1, sizeof(*d) + len);

	d->hdr = hdr;
	d->key = *key;
	d->len = (uint32_t)len;
	d->file = s->file;
	d->tap = NT_TAP_READ;
	d->offset = p->offsets[s->container][s->file];
	p->offsets[s->container][s->file] += len;
	memcpy(d->bytes, s->text, len);
	streams_record_ops.data(p->streams, pos, d);
	free(d);
}

static void cgroup_event(struct process *p, const struct step *s, struct nt_hdr hdr, uint64_t pos)
{
	struct nt_cgroup_event e = {.hdr = hdr};
	char id[65];

	id_of(s->container, id);
	e.path_len = (uint16_t)snprintf(e.path, sizeof(e.path), "/docker/%s", id);
	if (s->what == NEW)
		streams_record_ops.cgroup_new(p->streams, pos, &e);
	else
		streams_record_ops.cgroup_gone(p->streams, pos, &e);
}

/* One that the ring has. */
static void read_record(struct process *p, const struct step *s, size_t i)
{
	const struct nt_stream_key key = {.ino = 10 * s->container + s->file, .dev = 14};
	struct nt_hdr hdr = {.time_ns = (i + 1) * STEP_NS, .cgroup_id = cgroup_of(s->container)};
	struct nt_register r = {.hdr = hdr, .key = key, .file = s->file, .tap = NT_TAP_READ};
	struct nt_end e = {.hdr = hdr, .key = key, .file = s->file, .tap = NT_TAP_READ};
	uint64_t pos = i * STEP_BYTES;

	p->pos = pos;
	switch (s->what) {
	case DATA:
		data(p, s, hdr, &key, pos);
		break;
	case REGISTERED:
		streams_record_ops.registered(p->streams, pos, &r);
		p->offsets[s->container][s->file] = 0;
		break;
	case END:
		e.written = e.seen = p->offsets[s->container][s->file];
		streams_record_ops.end(p->streams, pos, &e);
		break;
	case NEW:
	case GONE:
		cgroup_event(p, s, hdr, pos);
		break;
	default:
		break;
	}
	p->pos = pos + STEP_BYTES;
	streams__tick(p->streams, hdr.time_ns, false);
}

/* One that happens beside the ring, and that a successor does not see again. */
static void happen(struct process *p, const struct step *s, size_t i)
{
	switch (s->what) {
	case PUBLISH:
		publish(p, s->container, s->tier, "web");
		break;
	case NEVER:
		never(p, s->container);
		break;
	case CLOCK:
		if (clock__follow(&p->anchor, i * STEP_NS, s->offset_ns) && p->decisions)
			decisions__add_clock(p->decisions, &p->anchor);
		break;
	case RELOAD:
		streams__use(p->streams, rules());
		break;
	default:
		break;
	}
}

static void live(struct process *p, const struct world *w, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		happen(p, &w->steps[i], i);
		read_record(p, &w->steps[i], i);
	}
}

/* The script */

static const struct step *script_set(struct world *w, size_t i, enum what what, unsigned container,
				     enum nt_file file)
{
	w->steps[i] = (struct step){.what = what, .container = container, .file = file};
	return &w->steps[i];
}

/* Lines, pieces of lines, blocks of lines; each with its number, and a user sometimes. */
static void write_text(struct step *s, unsigned *line)
{
	switch (rand() % 6) {
	case 0:
		snprintf(s->text, sizeof(s->text), "#%u half", (*line)++);
		break;
	case 1:
		snprintf(s->text, sizeof(s->text), "#%u user=%d\n more\n", (*line)++, rand() % 9);
		break;
	case 2:
		snprintf(s->text, sizeof(s->text), " rest\n#%u user=%d\n", (*line)++, rand() % 9);
		break;
	case 3:
		snprintf(s->text, sizeof(s->text), "#%u\n#%u user=1\n#%u\n", *line, *line + 1,
			 *line + 2);
		*line += 3;
		break;
	default:
		snprintf(s->text, sizeof(s->text), "#%u user=%d\n", (*line)++, rand() % 5);
	}
}

static void write_script(struct world *w, unsigned seed)
{
	unsigned line = 1;
	size_t i = 0;

	srand(seed);
	for (unsigned c = 0; c < N_CONTAINERS; c++) {
		script_set(w, i++, NEW, c, 0);
		script_set(w, i++, REGISTERED, c, NT_FILE_STDOUT);
		script_set(w, i++, REGISTERED, c, NT_FILE_STDERR);
	}
	for (; i < N_STEPS; i++) {
		unsigned c = (unsigned)rand() % N_CONTAINERS, at = (unsigned)rand() % 100;

		script_set(w, i, DATA, c, rand() % 3 ? NT_FILE_STDOUT : NT_FILE_STDERR);
		write_text(&w->steps[i], &line);
		if (at < 12) {
			script_set(w, i, PUBLISH, c, 0);
			w->steps[i].tier = (unsigned)rand() % 12;
		} else if (at < 14) {
			script_set(w, i, CLOCK, c, 0);
			w->steps[i].offset_ns =
				BASE_NS + (rand() % 7 - 3) * 3600 * (int64_t)NS_PER_SEC;
		} else if (at < 15) {
			script_set(w, i, RELOAD, c, 0);
		} else if (at < 16) {
			script_set(w, i, NEVER, c, 0);
		}
	}
	/* One ends, is gone, and its lines are still to be acknowledged. */
	i = N_STEPS / 3 * 2;
	script_set(w, i, END, 1, NT_FILE_STDOUT);
	script_set(w, i + 1, END, 1, NT_FILE_STDERR);
	script_set(w, i + 2, GONE, 1, 0);
	for (i += 3; i < N_STEPS; i++)
		if (w->steps[i].container == 1)
			w->steps[i].container = 2;
}

/* What is known of the containers after the kill: nothing, other things, or no engine is there. */
static void know_other_things(struct process *p, unsigned how)
{
	registry__engine(p->registry, "docker", how != 2);
	for (unsigned c = 0; c < N_CONTAINERS && how != 2; c++) {
		if (how == 0)
			never(p, c);
		else
			publish(p, c, 20 + c * (how == 1), how == 1 ? "other" : "out");
	}
}

static bool same_labels(const struct sent *a, const struct sent *b)
{
	size_t len = (size_t)(strchr(a->text, '}') - a->text);

	return !strncmp(a->text, b->text, len + 1);
}

/* Where it was sent from `from` on; n_sent: it was not. */
static size_t find(const struct process *p, const struct sent *s, size_t from)
{
	size_t i = from;

	while (i < p->n_sent &&
	       (p->sent[i].time_ns != s->time_ns || p->sent[i].container != s->container ||
		p->sent[i].file != s->file))
		i++;
	return i;
}

/* Returns how many of what was sent before were sent, but otherwise, or not at all, or not in the
 * order of their labels' stream. */
static size_t compare(const struct process *before, size_t n, const struct process *after,
		      bool print)
{
	size_t wrong = 0, *at = calloc(n + 1, sizeof(*at));

	for (size_t i = 0; i < n; i++) {
		const struct sent *a = &before->sent[i];
		size_t last = i;

		while (last && !same_labels(&before->sent[last - 1], a))
			last--;
		at[i] = find(after, a, 0);
		if (at[i] < after->n_sent && !strcmp(a->text, after->sent[at[i]].text) &&
		    (!last || at[last - 1] < at[i] || at[last - 1] == after->n_sent))
			continue;
		wrong++;
		if (print)
			print_message("%s\n   %s\n", a->text,
				      at[i] < after->n_sent ? after->sent[at[i]].text
							    : "(nothing)");
	}
	free(at);
	return wrong;
}

static struct process *first_run(struct world *w)
{
	struct process *p;
	unsigned char *empty = calloc(2, HALF);

	p = process__new(empty, 0);
	free(empty);
	registry__engine(p->registry, "docker", true);
	for (size_t i = 0; i < N_STEPS; i++) {
		w->memory[i] = malloc(2 * HALF);
		memcpy(w->memory[i], p->memory, 2 * HALF);
		w->n_sent[i] = p->n_sent;
		live(p, w, i, i + 1);
	}
	return p;
}

static void world__free(struct world *w)
{
	for (size_t i = 0; i < N_STEPS; i++)
		free(w->memory[i]);
	free(w);
}

/* All records of before `kill`, and on to `to`. */
static struct process *successor(const struct world *w, const unsigned char *memory, size_t kill,
				 size_t to, unsigned how)
{
	struct process *p = process__new(memory, kill * STEP_BYTES);

	know_other_things(p, how);
	for (size_t i = 0; i < kill; i++)
		read_record(p, &w->steps[i], i);
	live(p, w, kill, to);
	return p;
}

static void killed_at_any_record(void **state)
{
	size_t n_guarded = 0, n_clocks = 0;

	(void)state;
	for (unsigned seed = 1; seed <= 4; seed++) {
		struct world *w = calloc(1, sizeof(*w));
		struct process *first, *p;

		write_script(w, seed);
		first = first_run(w);
		n_guarded += decisions__guard(first->decisions);
		n_clocks += first->anchor.n_before;
		for (size_t kill = seed % 2; kill < N_STEPS; kill += 2) {
			p = successor(w, w->memory[kill], kill, kill, (unsigned)(kill / 2) % 4);
			if (compare(first, w->n_sent[kill], p, true))
				fail_msg("seed %u, killed at %zu", seed, kill);
			process__free(p);
		}
		process__free(first);
		world__free(w);
	}
	/* The script is worth its name. */
	assert_true(n_guarded > 8);
	assert_true(n_clocks > 8);
}

/* What the second decided about later records holds beside what the first did. */
static void killed_again(void **state)
{
	(void)state;
	for (unsigned seed = 11; seed <= 14; seed++) {
		struct world *w = calloc(1, sizeof(*w));
		struct process *first, *second, *third;

		write_script(w, seed);
		first = first_run(w);
		for (size_t kill = 10; kill + 40 < N_STEPS; kill += 15) {
			second = successor(w, w->memory[kill], kill, kill + 40, (unsigned)kill % 3);
			third = successor(w, second->memory, kill + 40, kill + 40,
					  (unsigned)(kill + 1) % 4);
			if (compare(first, w->n_sent[kill], third, true) ||
			    compare(second, second->n_sent, third, true))
				fail_msg("seed %u, killed at %zu", seed, kill);
			process__free(second);
			process__free(third);
		}
		process__free(first);
		world__free(w);
	}
}

/* What a notail's own container wrote is its successor's to leave out, read by it before or not. */
static void own_container(void **state)
{
	static const struct step steps[] = {
		{.what = NEW, .container = 0},
		{.what = REGISTERED, .container = 0, .file = NT_FILE_STDERR},
		{.what = DATA, .container = 0, .file = NT_FILE_STDERR, .text = "ready\n"},
		{.what = NEW, .container = 2},
		{.what = REGISTERED, .container = 2, .file = NT_FILE_STDERR},
		{.what = DATA, .container = 2, .file = NT_FILE_STDERR, .text = "a\n"},
		{.what = GONE, .container = 0},
		{.what = DATA, .container = 2, .file = NT_FILE_STDERR, .text = "b\n"},
	};
	const struct decision own = {.cgroup_id = cgroup_of(0), .excluded = true};
	unsigned char *empty = calloc(2, HALF);
	_meta_ struct meta *nothing = meta__new();

	(void)state;
	for (size_t read = 0; read <= ARRAY_SIZE(steps); read++) {
		struct process *first = process__new(empty, 0), *p;

		assert_true(decisions__add(first->decisions, &own, nothing));
		decisions__gone(first->decisions, cgroup_of(0), 3 * STEP_BYTES);
		p = process__new(first->memory, read * STEP_BYTES);
		never(p, 0);
		never(p, 2);
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
			read_record(p, &steps[i], i);
		streams__tick(p->streams, 60 * NS_PER_SEC, true);
		assert_int_equal(counters__get(&p->counters, excluded), strlen("ready\n"));
		for (size_t i = 0; i < p->n_sent; i++)
			assert_int_equal(p->sent[i].container, 2);
		process__free(first);
		process__free(p);
	}
	free(empty);
}

/* Or the test would prove nothing. */
static void without_a_journal_it_is_otherwise(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned char *empty = calloc(2, HALF);
	struct process *first, *p;
	size_t kill = N_STEPS - 1;

	(void)state;
	write_script(w, 1);
	first = first_run(w);
	for (unsigned how = 0; how < 4; how++) {
		p = successor(w, empty, kill, kill, how);
		assert_true(compare(first, w->n_sent[kill], p, false) > 20);
		process__free(p);
	}
	process__free(first);
	world__free(w);
	free(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_record),
		cmocka_unit_test(killed_again),
		cmocka_unit_test(own_container),
		cmocka_unit_test(without_a_journal_it_is_otherwise),
	};

	log__level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
