/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/streams/replay_model.h with what happens chosen by the input: no line is lost, none is
 * another one. The input's first byte chooses whether there are stages.
 */
#include "../unit/streams/replay_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STAGES "pipeline_stages: [{multiline: {firstline: '^#', max_wait_time: 1ms, max_lines: 4}}]"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m;
	struct model_opts opts = {.ring_bytes = 65536,
				  .max_line_size = 24,
				  .max_record = 30,
				  .records = 60,
				  .kills = 8};
	bool same;

	if (size < 8)
		return 0;
	if (data[0] & 1) {
		opts.yaml = STAGES;
		opts.ring_bytes = MODEL_RING_MAX;
	}
	m = calloc(1, sizeof(*m));
	m->bytes = data + 1;
	m->n_bytes = size - 1;
	model__run(m, &opts, &same);
	MODEL_CHECK(same);
	free(m);
	return 0;
}
