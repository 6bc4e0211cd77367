// SPDX-License-Identifier: Apache-2.0
/*
 * The choice of the hook set, and the report of `notail probe`. Nothing is read off the kernel's
 * version: each feature is one tiny program (bpf/probe.bpf.c) that is loaded and attached alone.
 *
 * The order of preference follows from what loses records silently (a fexit program that is
 * preempted makes other tasks on its CPU skip theirs; return probes before fgraph have few
 * instances):
 * - no preemption inside the kernel: fexit, which costs other calls nothing;
 * - preemptible, and return probes come from fgraph (its function fprobe_return is there): multi;
 * - else sys_exit, which every system call of the host pays for.
 */
#include "capture/probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/util.h"
#include "capture/proc.h"
#include "capture/programs.h"
#include "probe.skel.h"

#define PROBED_FUNCTION "bpf_fentry_test1"

static const char *const preemption_names[] = {
	[PREEMPTION_UNKNOWN] = "unknown",     [PREEMPTION_NONE] = "none",
	[PREEMPTION_VOLUNTARY] = "voluntary", [PREEMPTION_LAZY] = "lazy",
	[PREEMPTION_FULL] = "full",
};

const char *preemption__name(enum preemption p)
{
	return preemption_names[p];
}

enum preemption probe__preemption(void)
{
	char text[128], word[32];
	struct utsname name;
	_close_ int fs = -1;

	if (file__read_text(AT_FDCWD, "/sys/kernel/debug/sched/preempt", text, sizeof(text)) >= 0 ||
	    (mount__detached("debugfs", &fs) == 0 &&
	     file__read_text(fs, "sched/preempt", text, sizeof(text)) >= 0)) {
		for (size_t i = 0; i < ARRAY_SIZE(preemption_names); i++) {
			if (text__marked_word(text, word, sizeof(word)) &&
			    strcmp(word, preemption_names[i]) == 0)
				return (enum preemption)i;
		}
	}
	/* PREEMPT_DYNAMIC alone does not say which one is in force. */
	if (uname(&name) < 0 || strstr(name.version, "PREEMPT_DYNAMIC"))
		return PREEMPTION_UNKNOWN;
	return strstr(name.version, "PREEMPT") ? PREEMPTION_FULL : PREEMPTION_NONE;
}

static int attach_probe(const struct bpf_program *prog, bool at_return)
{
	const char *symbol = PROBED_FUNCTION;
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = &symbol, .cnt = 1, .retprobe = at_return);
	bool multi = strstr(bpf_program__section_name(prog), "probe.multi") != NULL;
	struct bpf_link *link = multi ? bpf_program__attach_kprobe_multi_opts(prog, NULL, &opts)
				      : bpf_program__attach(prog);

	if (!link)
		return -errno;
	bpf_link__destroy(link);
	return 0;
}

/* Loads and attaches one program of the probe object. */
static int try_program(const char *name)
{
	struct probe_bpf *skel = probe_bpf__open();
	struct bpf_program *prog, *wanted = NULL;
	int r;

	if (!skel)
		return -errno;
	bpf_object__for_each_program(prog, skel->obj)
	{
		bool match = strcmp(bpf_program__name(prog), name) == 0;

		bpf_program__set_autoload(prog, match);
		if (match)
			wanted = prog;
	}
	r = wanted ? probe_bpf__load(skel) : -ENOENT;
	if (r == 0)
		r = attach_probe(wanted, strstr(name, "kretprobe") != NULL);
	probe_bpf__destroy(skel);
	return r;
}

static int try_set(enum hook_set hooks)
{
	int r;

	switch (hooks) {
	case HOOKS_FEXIT:
		return try_program("probe_fexit");
	case HOOKS_MULTI:
		r = try_program("probe_kprobe_multi");
		return r < 0 ? r : try_program("probe_kretprobe_multi");
	default:
		return try_program("probe_tp_btf");
	}
}

/* What every hook set stands on. */
static int check_base(char *why, size_t size)
{
	static const struct {
		const char *program, *instead, *what;
	} base[] = {
		{"probe_tp_btf", NULL, "BTF tracepoints (tp_btf)"},
		{"probe_ringbuf", NULL, "the BPF ring buffer"},
		{"probe_iter_task_file", NULL, "BPF iterators over files"},
		{"probe_read_user", NULL, "bpf_probe_read_user"},
		{"probe_bpf_loop", NULL, "bpf_loop"},
		{"probe_rdonly_cast", "probe_read_kernel", "bpf_probe_read_kernel"},
	};
	char reason[128];

	for (size_t i = 0; i < ARRAY_SIZE(base); i++) {
		int r = try_program(base[i].program);

		if (r < 0 && base[i].instead)
			r = try_program(base[i].instead);
		if (r < 0) {
			snprintf(why, size,
				 "%s cannot be used: %s; notail needs Linux 5.17 or later with BTF "
				 "(CONFIG_DEBUG_INFO_BTF), and root or its capabilities",
				 base[i].what, programs__reason(r, reason, sizeof(reason)));
			return -ENOTSUP;
		}
	}
	return 0;
}

static int choose_wanted(enum hook_set wanted, struct probe_choice *ret)
{
	char reason[128];
	int r = try_set(wanted);

	if (r < 0) {
		snprintf(ret->why, sizeof(ret->why), "%s programs do not load here: %s",
			 hook_set__name(wanted), programs__reason(r, reason, sizeof(reason)));
		return -ENOTSUP;
	}
	ret->hooks = wanted;
	ret->why[0] = '\0';
	return 0;
}

/* Sets *ret_usable; *why gets a clause when it is not. */
static bool fexit_usable(enum preemption p, char *why, size_t size)
{
	bool preemptible = p != PREEMPTION_NONE && p != PREEMPTION_VOLUNTARY;
	char reason[128];
	int r = try_set(HOOKS_FEXIT);

	if (r < 0)
		snprintf(why, size, "fexit programs do not load here: %s",
			 programs__reason(r, reason, sizeof(reason)));
	else if (preemptible)
		snprintf(why, size, "fexit would lose records: the kernel is preemptible (%s)",
			 preemption__name(p));
	return r == 0 && !preemptible;
}

static bool multi_usable(char *why, size_t size)
{
	char reason[128];
	int r = try_set(HOOKS_MULTI);

	if (r < 0)
		snprintf(why, size, "multi programs do not load here: %s",
			 programs__reason(r, reason, sizeof(reason)));
	else if (!kernel__has_symbol("fprobe_return"))
		snprintf(why, size, "multi would lose records: no fgraph return probes");
	else
		return true;
	return false;
}

int probe__choose(enum hook_set wanted, struct probe_choice *ret)
{
	enum preemption p = probe__preemption();
	char fexit_why[120] = "", multi_why[120] = "";
	int r;

	programs__quiet();
	r = check_base(ret->why, sizeof(ret->why));
	if (r < 0)
		return r;
	if (wanted != HOOKS_AUTO)
		return choose_wanted(wanted, ret);

	ret->why[0] = '\0';
	if (fexit_usable(p, fexit_why, sizeof(fexit_why)))
		ret->hooks = HOOKS_FEXIT;
	else if (multi_usable(multi_why, sizeof(multi_why)))
		ret->hooks = HOOKS_MULTI;
	else
		ret->hooks = HOOKS_SYSCALL;
	/* On a preemptible kernel nothing is better than multi. */
	if (ret->hooks == HOOKS_SYSCALL)
		snprintf(ret->why, sizeof(ret->why), "%s; %s", fexit_why, multi_why);
	else if (ret->hooks == HOOKS_MULTI && (p == PREEMPTION_NONE || p == PREEMPTION_VOLUNTARY))
		snprintf(ret->why, sizeof(ret->why), "%s", fexit_why);
	return 0;
}

struct feature {
	const char *name, *program, *with, *without;
};

static const struct feature features[] = {
	{"tp_btf", "probe_tp_btf", "process and cgroup events", "notail cannot run"},
	{"ring buffer", "probe_ringbuf", "the way to user space", "notail cannot run"},
	{"iter/task_file", "probe_iter_task_file", "finds what runs already", "notail cannot run"},
	{"read user memory", "probe_read_user", "copies what readers got", "notail cannot run"},
	{"bpf_loop", "probe_bpf_loop", "vectors and long copies", "notail cannot run"},
	{"bpf_rdonly_cast", "probe_rdonly_cast", "looks at files and tasks, also under lockdown",
	 "kernel memory is read instead"},
	{"read kernel memory", "probe_read_kernel", "stands in for bpf_rdonly_cast",
	 "needed where bpf_rdonly_cast is not there"},
	{"fexit", "probe_fexit", "hooks that cost other calls nothing",
	 "hook set multi or syscall"},
	{"kprobe.multi", "probe_kprobe_multi", "hooks for preemptible kernels",
	 "hook set fexit or syscall"},
	{"kretprobe.multi", "probe_kretprobe_multi", "hooks for preemptible kernels",
	 "hook set fexit or syscall"},
};

static void print_feature(FILE *out, const char *name, int error, const char *consequence)
{
	char reason[128];

	if (error < 0)
		fprintf(out, "%-20s no   %s: %s\n", name,
			programs__reason(error, reason, sizeof(reason)), consequence);
	else
		fprintf(out, "%-20s ok   %s\n", name, consequence);
}

int probe__print(FILE *out)
{
	struct probe_choice choice = {};
	struct statfs fs;
	int r, bpffs;
	bool fgraph = kernel__has_symbol("fprobe_return");

	programs__quiet();
	print_feature(out, "BTF", access("/sys/kernel/btf/vmlinux", R_OK) < 0 ? -errno : 0,
		      "the kernel's types, /sys/kernel/btf/vmlinux");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		r = try_program(features[i].program);
		print_feature(out, features[i].name, r,
			      r < 0 ? features[i].without : features[i].with);
	}
	fprintf(out, "%-20s %-4s %s\n", "fgraph return probes", fgraph ? "ok" : "no",
		fgraph ? "kretprobe.multi loses nothing" : "kretprobe.multi may lose records");
	bpffs = statfs("/sys/fs/bpf", &fs) < 0 ? -errno : fs.f_type == BPF_FS_MAGIC ? 0 : -ENODEV;
	print_feature(out, "bpffs", bpffs,
		      bpffs < 0 ? "capture cannot outlive notail" : "mounted at /sys/fs/bpf");
	fprintf(out, "%-20s %s\n", "preemption", preemption__name(probe__preemption()));
	fprintf(out, "%-20s %s\n", "lockdown", kernel__lockdown());

	r = probe__choose(HOOKS_AUTO, &choice);
	if (r < 0)
		fprintf(out, "hook set none: %s\n", choice.why);
	else if (choice.why[0])
		fprintf(out, "hook set %s; why not better: %s\n", hook_set__name(choice.hooks),
			choice.why);
	else
		fprintf(out, "hook set %s; the best there is\n", hook_set__name(choice.hooks));
	return r < 0 ? -ENOTSUP : 0;
}
