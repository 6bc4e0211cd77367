/* SPDX-License-Identifier: Apache-2.0 */
/* The section capture. */
#include "config/sections.h"

#include <string.h>

#include "capture/capture.h"
#include "capture/names.h"
#include "config/config.h"
#include "config/values.h"

static const char *const TAPS[] = {
	[TAP_AUTO] = "auto", [TAP_READ] = "read", [TAP_WRITE] = "write", NULL};
static const char *const HOOKS[] = {[HOOKS_AUTO] = "auto",
				    [HOOKS_FEXIT] = "fexit",
				    [HOOKS_MULTI] = "multi",
				    [HOOKS_SYSCALL] = "syscall",
				    NULL};
static const char *const ATTRIBUTIONS[] = {[ATTRIBUTION_STREAM] = "stream",
					   [ATTRIBUTION_LINE] = "line",
					   [ATTRIBUTION_OFF] = "off",
					   NULL};

static const struct field CAPTURE_FIELDS[] = {
	FIELD(struct config_capture, containers, FIELD_STRINGS,
	      .doc = "Only containers of these names, shell patterns work, or whose ids begin so."),
	FIELD(struct config_capture, labels, FIELD_STRINGS,
	      .doc = "Only with all of these labels, each NAME=VALUE."),
	FIELD(struct config_capture, streams, FIELD_STRINGS, .doc = "Only stdout or only stderr."),
	FIELD(struct config_capture, cgroups, FIELD_STRINGS,
	      .doc = "Besides containers, what runs in these cgroups and below, such as "
		     "/system.slice/foo.service; * and ? match within a component."),
	FIELD(struct config_capture, exec_sessions, FIELD_BOOL, .dflt = "false",
	      .doc = "Sessions of docker exec too."),
	FIELD(struct config_capture, tap, FIELD_ENUM, .names = TAPS, .dflt = "auto",
	      .doc = "Copy at the runtime's read, or at the container's write."),
	FIELD(struct config_capture, hooks, FIELD_ENUM, .names = HOOKS, .dflt = "auto",
	      .doc = "Kernel hooks; notail probe says what this kernel has."),
	FIELD(struct config_capture, attribution, FIELD_ENUM, .names = ATTRIBUTIONS,
	      .dflt = "stream",
	      .doc = "Name the writing process and prove that nothing is missing; line does so in "
		     "races too."),
	FIELD(struct config_capture, rate_limit, FIELD_SIZE, .dflt = "0",
	      .doc = "Drop, and count, what a container writes over this in a second; 0: no "
		     "limit."),
	FIELD(struct config_capture, rate_burst, FIELD_SIZE, .dflt = "0",
	      .doc = "What it may write at once before that; 0: a second's worth."),
	FIELD(struct config_capture, ring_size, FIELD_SIZE, .dflt = "32MiB", .min = 1 << 20,
	      .max = 1 << 30, .doc = "Memory for what is not delivered yet: a power of two."),
	FIELD(struct config_capture, max_line_size, FIELD_SIZE, .dflt = "256KiB", .min = 16,
	      .max = 16 << 20, .doc = "Longer lines are cut there, and marked."),
	FIELD(struct config_capture, orphan_timeout, FIELD_DURATION, .dflt = "10m",
	      .doc = "How long the kernel captures without notail."),
	FIELD(struct config_capture, pins, FIELD_STRING,
	      .doc = "Where what captures outlives notail, on a BPF file system "
		     "(" CAPTURE_PINS "); off: nothing does."),
	FIELD(struct config_capture, detach_on_exit, FIELD_BOOL, .dflt = "false",
	      .doc = "Capture ends with notail, unless it is killed."),
	{0},
};

static void check_selectors(const struct config_capture *c, const struct node *node,
			    struct diag *diag)
{
	const char *expected;

	for (size_t i = 0; i < c->containers.n; i++)
		if (!*c->containers.items[i])
			diag__error(diag, node__item(node, "containers", i),
				    "empty, expected a name, a pattern or an id");
	for (size_t i = 0; i < c->labels.n; i++)
		if (!strchr(c->labels.items[i], '=') || *c->labels.items[i] == '=')
			diag__error(diag, node__item(node, "labels", i),
				    "\"%s\", expected NAME=VALUE", c->labels.items[i]);
	for (size_t i = 0; i < c->streams.n; i++)
		if (strcmp(c->streams.items[i], "stdout") && strcmp(c->streams.items[i], "stderr"))
			diag__error(diag, node__item(node, "streams", i),
				    "\"%s\", expected stdout or stderr", c->streams.items[i]);
	for (size_t i = 0; i < c->cgroups.n; i++) {
		expected = names__check(c->cgroups.items[i]);
		if (expected)
			diag__error(diag, node__item(node, "cgroups", i), "\"%s\", expected %s",
				    c->cgroups.items[i], expected);
	}
	if (c->cgroups.n > CAPTURE_CGROUPS_MAX)
		diag__error(diag, node__get(node, "cgroups"), "%zu cgroups, expected at most %d",
			    c->cgroups.n, CAPTURE_CGROUPS_MAX);
}

static void check_capture(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_capture *c = object;

	check_selectors(c, node, diag);
	if (values__check_pins(c->pins))
		diag__error(diag, node__get(node, "pins"), "\"%s\", expected %s", c->pins,
			    values__check_pins(c->pins));
	if (c->ring_size & (c->ring_size - 1))
		diag__error(diag, node__get(node, "ring_size"),
			    "%llu bytes, expected a power of two from 1MiB to 1GiB",
			    (unsigned long long)c->ring_size);
	if (c->rate_limit && (c->rate_limit < CAPTURE_RATE_MIN || c->rate_limit > CAPTURE_RATE_MAX))
		diag__error(diag, node__get(node, "rate_limit"),
			    "out of range, expected 0 or 1KiB to 1GiB");
	if (c->rate_burst && (c->rate_burst < 1024 || c->rate_burst > CAPTURE_RATE_MAX))
		diag__error(diag, node__get(node, "rate_burst"),
			    "out of range, expected 0 or 1KiB to 1GiB");
	if (c->rate_burst && !c->rate_limit)
		diag__error(diag, node__get(node, "rate_burst"),
			    "stands alone, expected rate_limit beside it");
}

const struct schema config_capture_schema = {
	.name = "capture",
	.size = sizeof(struct config_capture),
	.fields = CAPTURE_FIELDS,
	.check = check_capture,
};
