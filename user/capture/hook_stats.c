/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel counts of each program: what it skipped always, time and runs while
 * kernel.bpf_stats_enabled is on. The programs are found through their descriptors, so that those
 * which an earlier notail left are counted as well.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>

#include "capture/internal.h"

void capture__hook_stats(struct capture *c, capture_hook_fn fn, void *arg)
{
	for (int i = 0; i < c->skel->skeleton->prog_cnt; i++) {
		struct bpf_program *prog = *c->skel->skeleton->progs[i].prog;
		int fd = c->attached ? c->attached[i] : bpf_program__fd(prog);
		struct capture_hook hook = {0};
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
			continue;
		snprintf(hook.name, sizeof(hook.name), "%s", bpf_program__name(prog));
		hook.runs = info.run_cnt;
		hook.run_ns = info.run_time_ns;
		hook.misses = info.recursion_misses;
		fn(arg, &hook);
	}
}
