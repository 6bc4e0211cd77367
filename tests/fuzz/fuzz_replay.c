/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/streams/replay_model.h with what happens chosen by the input: no line is lost, none is
 * another one. The input's first byte chooses whether there are stages.
 */
// sources: user/commit.c user/state/*.c user/streams/*.c user/assemble/*.c
// sources: user/base/*.c user/capture/record.c user/capture/proc.c user/capture/names.c
// sources: user/capture/ring.c
// sources: user/containers/registry.c user/containers/cgroup.c user/containers/meta.c
// sources: user/process/*.c user/io/*.c user/status/snapshot.c user/status/samples.c
// sources: user/config/config.c user/config/promtail.c user/config/schema*.c user/config/node*.c
// sources: user/config/diag.c user/config/values.c user/config/print_values.c
// libs: -ljansson -lpcre2-8 -lyaml -lcrypto -lcurl -levent -levent_openssl -lssl -lz
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
