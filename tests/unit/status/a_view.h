/* SPDX-License-Identifier: Apache-2.0 */
/* Something to show: two containers, one of them excluded, one stream with labels. */
#ifndef TEST_STATUS_A_VIEW_H
#define TEST_STATUS_A_VIEW_H

#include "base/clock.h"
#include "status/view.h"

#define A_TIME (1795306733ull * NS_PER_SEC)

/* Its name and a label's value are `text`; it has read so many bytes of so many lines. */
static inline struct snapshot *a_snapshot(const char *text, uint64_t boot_s, uint64_t bytes,
					  uint64_t lines)
{
	struct snapshot_target web = {.cgroup_id = 12345678901234567890ull, .meta = meta__new()};
	struct snapshot_target off = {.cgroup_id = 5,
				      .meta = meta__new(),
				      .excluded = true,
				      .opt_out = "notail.io/exclude"};
	struct snapshot_stream stream = {.file = LINE_STDOUT,
					 .counted = true,
					 .why = "reader 7 containerd-shim",
					 .read = bytes,
					 .written = bytes,
					 .lines = lines,
					 .set = label_set__new()};
	struct snapshot *s;

	snapshot__new(&s, SNAPSHOT_COUNTERS | SNAPSHOT_TARGETS, 9, 9);
	s->boot_ns = boot_s * NS_PER_SEC;
	s->real_ns = A_TIME + s->boot_ns;
	s->ring_bytes = 32 << 20;
	s->ring_used_bytes = 16 << 20;
	web.meta->name = strdup(text);
	web.meta->id = strdup("0123456789abcdef0123");
	web.meta->image = strdup("busybox");
	off.meta->name = strdup("off");
	meta__add_label(web.meta, META_POD_NAMESPACE_LABEL, "shop");
	meta__add_label(web.meta, META_POD_NAME_LABEL, "web-7d4b");
	label_set__add(stream.set, "container", text);
	label_set__add(stream.set, "stream", "stdout");
	label_set__add_metadata(stream.set, "image", "busybox");
	label_set__seal(stream.set);
	stream.target = snapshot__add_target(s, &web);
	snapshot__add_stream(s, &stream);
	stream.set = NULL;
	stream.file = LINE_STDERR;
	stream.tap_write = true;
	stream.counted = false;
	stream.lost = 5;
	snapshot__add_stream(s, &stream);
	snapshot__add_target(s, &off);
	snapshot__add_label(s, text, A_TIME);
	snapshot__seal(s);
	return s;
}

static inline struct view a_view(const struct snapshot *now, const struct samples *samples)
{
	return (struct view){
		.host = "node1",
		.started_ns = A_TIME,
		.hooks = "fexit",
		.hooks_why = "",
		.engine = {.host = "unix:///var/run/docker.sock", .problem = "no such file"},
		.clients = {{.name = "main",
			     .url = "http://loki/push",
			     .lines = 1234567,
			     .oldest_ns = 1,
			     .spool = {.used = true,
				       .bytes = 5 << 20,
				       .oldest_real_ns = A_TIME,
				       .dropped_lines = 4321,
				       .problem = "no space left"}}},
		.durable = {.state = DURABLE_NO, .why = "no bpffs"},
		.n_clients = 1,
		.config = {.file = "/etc/notail/notail.yaml",
			   .since_ns = A_TIME,
			   .problem = "it is wrong",
			   .problem_ns = A_TIME},
		.messages = {{.real_ns = A_TIME, .level = LOG_WARN, .text = "a warning"}},
		.n_messages = 1,
		.now = now,
		.samples = samples,
	};
}

#endif
