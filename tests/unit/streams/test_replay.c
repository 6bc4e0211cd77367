/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons that are killed at any moment: replay_model.h. REPLAY_SEED and REPLAY_CASES choose
 * others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "streams/replay_model.h"

#define STAGES                                                                        \
	"pipeline_stages:\n"                                                          \
	"- match:\n"                                                                  \
	"    selector: '{container=\"multi\"}'\n"                                     \
	"    stages:\n"                                                               \
	"    - multiline: {firstline: '^#', max_wait_time: 1ms, max_lines: 4}\n"      \
	"- match:\n"                                                                  \
	"    selector: '{container=\"levels\"}'\n"                                    \
	"    stages:\n"                                                               \
	"    - regex: {expression: '(?P<level>[ab])'}\n"                              \
	"    - labels: {level: }\n"                                                   \
	"    - multiline: {firstline: '^[#a]', max_wait_time: 100ms}\n"               \
	"- match:\n"                                                                  \
	"    selector: '{container=\"delayed\"}'\n"                                   \
	"    stages:\n"                                                               \
	"    - limit: {rate: 20000, burst: 3}\n"                                      \
	"- match:\n"                                                                  \
	"    selector: '{container=\"plain\", stream=\"stdout\"}'\n"                  \
	"    stages:\n"                                                               \
	"    - limit: {rate: 2000, burst: 3, drop: true}\n"                           \
	"- match:\n"                                                                  \
	"    selector: '{container=\"plain\", stream=\"stderr\"}'\n"                  \
	"    stages:\n"                                                               \
	"    - limit: {rate: 2000, burst: 3, drop: true, by_label_name: container}\n" \
	"- match:\n"                                                                  \
	"    selector: '{container=\"sampled\"}'\n"                                   \
	"    stages:\n"                                                               \
	"    - drop: {expression: 'z'}\n"                                             \
	"    - sampling: {rate: 0.5}\n"

static unsigned env(const char *name, unsigned dflt)
{
	const char *value = getenv(name);

	return value ? (unsigned)strtoul(value, NULL, 0) : dflt;
}

static void run(const struct model_opts *opts, unsigned cases)
{
	unsigned seed = env("REPLAY_SEED", 0);
	size_t lines = 0, kills = 0;
	bool same;

	cases = seed ? 1 : env("REPLAY_CASES", cases);
	for (unsigned i = 1; i <= cases; i++) {
		struct model *m = calloc(1, sizeof(*m));

		model_seed = seed ? seed : i;
		m->random = model_seed * 0x9e3779b97f4a7c15;
		m->show = getenv("REPLAY_SHOW") != NULL;
		lines += model__run(m, opts, &same);
		kills += m->kills;
		free(m);
		if (!same)
			fail_msg("REPLAY_SEED=%u: lines are lost, or others", model_seed);
	}
	print_message("%u cases, %zu kills, %zu lines\n", cases, kills, lines);
	assert_true(lines && kills);
}

static void short_lines(void **state)
{
	(void)state;
	run(&(struct model_opts){.ring_bytes = 32768,
				 .max_line_size = 24,
				 .max_record = 30,
				 .records = 60,
				 .kills = 4},
	    1500);
}

static void long_lines(void **state)
{
	(void)state;
	run(&(struct model_opts){.ring_bytes = 65536,
				 .max_line_size = 16384,
				 .max_record = 3000,
				 .records = 60,
				 .kills = 4},
	    60);
}

static void many_records(void **state)
{
	(void)state;
	run(&(struct model_opts){.ring_bytes = 32768,
				 .max_line_size = 100,
				 .max_record = 200,
				 .records = 2000,
				 .kills = 40},
	    10);
}

static void stages(void **state)
{
	(void)state;
	run(&(struct model_opts){.yaml = STAGES,
				 .ring_bytes = MODEL_RING_MAX,
				 .max_line_size = 24,
				 .max_record = 30,
				 .records = 100,
				 .kills = 4},
	    200);
}

static void stages_and_many_records(void **state)
{
	(void)state;
	run(&(struct model_opts){.yaml = STAGES,
				 .ring_bytes = MODEL_RING_MAX,
				 .max_line_size = 100,
				 .max_record = 60,
				 .records = 2000,
				 .kills = 40},
	    5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_lines),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(many_records),
		cmocka_unit_test(stages),
		cmocka_unit_test(stages_and_many_records),
	};

	if (getenv("REPLAY_TEST"))
		cmocka_set_test_filter(getenv("REPLAY_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
