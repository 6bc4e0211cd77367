/* SPDX-License-Identifier: Apache-2.0 */
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
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/util.h"
#include "capture/host.h"
#include "capture/others.h"
#include "capture/pins.h"
#include "capture/proc.h"
#include "capture/programs.h"
#include "capture/report.h"
#include "probe.skel.h"

#define PROBED_FUNCTION "bpf_fentry_test1"
#define LOOKS 8

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

/* Runs the program of probe.bpf.c a few times, in this thread. */
static int look_inside(struct probe_bpf *skel, struct bpf_program *wanted, bool *ret_preempted)
{
	struct bpf_program *prog;
	struct bpf_link *link;

	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == wanted);
	skel->rodata->probe_thread = (uint32_t)gettid();
	if (probe_bpf__load(skel) < 0)
		return -errno;
	link = bpf_program__attach(wanted);
	if (!link)
		return -errno;
	/* The program may be skipped for some of them. Nobody is one's own child. */
	for (int i = 0; i < LOOKS; i++)
		waitpid(getpid(), NULL, WNOHANG);
	bpf_link__destroy(link);
	if (!skel->bss->probe_runs)
		return -ENODATA;
	*ret_preempted = skel->bss->probe_preempted;
	return 0;
}

/* Where one cannot look (the kernel does not tell the variable's address), by what tracepoints have
 * in its place since they do not disable preemption. */
static bool is_preempted(const struct btf *btf, bool call)
{
	bool preempted = btf__find_by_name_kind(btf, "tracepoint_srcu_srcu_data", BTF_KIND_VAR) > 0;
	struct probe_bpf *skel = probe_bpf__open();

	if (skel)
		look_inside(skel,
			    call ? skel->progs.probe_preempt_call : skel->progs.probe_preempt_event,
			    &preempted);
	probe_bpf__destroy(skel);
	return preempted;
}

static bool counts_reads(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "task_io_accounting", BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), "syscr"))
			return true;
	return false;
}

void probe__preempted(bool calls, struct probe_preempted *ret)
{
	enum preemption p = probe__preemption();
	bool never = p == PREEMPTION_NONE || p == PREEMPTION_VOLUNTARY;
	struct btf *btf = btf__load_vmlinux_btf();

	*ret = (struct probe_preempted){};
	if (!btf)
		return;
	ret->events = !never && is_preempted(btf, false);
	ret->calls = !never && calls && is_preempted(btf, true);
	ret->counts_reads = counts_reads(btf);
	btf__free(btf);
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
		{"probe_rdonly_cast", "probe_read_kernel", "bpf_probe_read_kernel"},
	};
	char reason[128];

	for (size_t i = 0; i < ARRAY_SIZE(base); i++) {
		int r = try_program(base[i].program);

		if (r < 0 && base[i].instead)
			r = try_program(base[i].instead);
		if (r < 0) {
			snprintf(why, size,
				 "%s cannot be used: %s; notail needs Linux 5.10 or later with BTF "
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
		snprintf(ret->why, sizeof(ret->why),
			 "%s programs do not load here: %s; `notail probe' says which do",
			 hook_set__name(wanted), programs__reason(r, reason, sizeof(reason)));
		return -ENOTSUP;
	}
	ret->hooks = wanted;
	ret->why[0] = '\0';
	return 0;
}

/* *why gets a clause when it is not. */
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
	{"bpf_loop", "probe_bpf_loop", "vectors and long copies",
	 "the legacy programs are used: loops are short"},
	{"bpf_rdonly_cast", "probe_rdonly_cast", "looks at files and tasks, also under lockdown",
	 "kernel memory is read instead"},
	{"read kernel memory", "probe_read_kernel", "stands in for bpf_rdonly_cast",
	 "needed where bpf_rdonly_cast is not there"},
	{"fexit", "probe_fexit", "hooks that cost other calls nothing",
	 "another hook set is needed"},
	{"kprobe.multi", "probe_kprobe_multi", "hooks for preemptible kernels",
	 "another hook set is needed"},
	{"kretprobe.multi", "probe_kretprobe_multi", "hooks for preemptible kernels",
	 "another hook set is needed"},
};

/* Where the report goes: lines of text, or members of an object. */
struct report {
	FILE *out;
	json_t *json;	  /* NULL: text */
	json_t *features; /* its array */
};

static void report(struct report *r, const char *name, bool ok, const char *says)
{
	if (r->json)
		json_array_append_new(r->features, json_pack("{s:s,s:b,s:s}", "name", name, "ok",
							     ok, "says", says));
	else
		fprintf(r->out, "%-20s %-4s %s\n", name, ok ? "ok" : "no", says);
}

static void report_fact(struct report *r, const char *name, const char *value, const char *remark)
{
	if (r->json)
		json_object_set_new(r->json, name, json_string(value));
	else
		fprintf(r->out, "%-20s %s%s\n", name, value, remark);
}

static void report_feature(struct report *r, const struct feature *f)
{
	char reason[128], says[320];
	int error = try_program(f->program);

	if (error < 0)
		snprintf(says, sizeof(says), "%s: %s",
			 programs__reason(error, reason, sizeof(reason)), f->without);
	report(r, f->name, error == 0, error < 0 ? says : f->with);
}

static void report_preempted(struct report *r)
{
	struct probe_preempted p;

	probe__preempted(true, &p);
	report(r, "whole tracepoints", !p.calls && !p.events,
	       !p.calls && !p.events ? "no task is preempted inside a program"
	       : p.counts_reads ? "a task may be preempted inside a program, and others' calls "
				  "are not seen then: events and reads have a second program"
				: "calls are not seen while a task is preempted inside a program");
}

static void report_check(struct report *r, const char *name,
			 int (*check)(char *ret_why, size_t size), const char *good)
{
	char why[256];
	bool ok = check(why, sizeof(why)) == 0;

	report(r, name, ok, ok ? good : why);
}

/* Only what is there: most hosts have neither. */
static void report_sandboxes(struct report *r)
{
	struct sandboxes found = {0};
	char says[200];

	if (sandboxes__count("/proc", &found) < 0)
		return;
	if (found.kata) {
		snprintf(says, sizeof(says),
			 "%u running: their containers write inside virtual machines, which cannot "
			 "be captured",
			 found.kata);
		report(r, "Kata sandboxes", false, says);
	}
	if (found.gvisor) {
		snprintf(says, sizeof(says),
			 "%u running: captured is the container that a sandbox starts with, from "
			 "then on, without a terminal",
			 found.gvisor);
		report(r, "gVisor sandboxes", true, says);
	}
}

static int check_durable(char *ret_why, size_t size)
{
	return pins__check(CAPTURE_PINS, ret_why, size);
}

#define CGROUPS_SHOWN 10

struct others {
	struct report *report;
	json_t *json;
	unsigned n;
};

static void report_cgroup(void *ctx, const char *path, unsigned processes)
{
	struct others *o = ctx;

	o->n++;
	/* A path that is no UTF-8 is none of systemd's nor an engine's; json_pack refuses it. */
	if (o->json)
		json_array_append_new(
			o->json, json_pack("{s:s,s:i}", "path", path, "processes", (int)processes));
	else if (o->n <= CGROUPS_SHOWN)
		fprintf(o->report->out, "%-20s %s\n", o->n == 1 ? "with --cgroup PATH" : "", path);
}

/* What a --cgroup could name. */
static void report_cgroups(struct report *r)
{
	struct others o = {.report = r};
	_close_ int root = -1;

	if (cgroup2__open_root(&root) < 0)
		return;
	if (r->json) {
		o.json = json_array();
		json_object_set_new(r->json, "cgroups", o.json);
	}
	cgroups__each_other(root, report_cgroup, &o);
	if (!r->json && o.n > CGROUPS_SHOWN)
		fprintf(r->out, "%-20s and %u more (--json has them)\n", "", o.n - CGROUPS_SHOWN);
}

/* By loading those of the hook set. Legacy ones are taken where the others do not load. */
static void report_programs(struct report *r, enum hook_set hooks)
{
	const struct capture_opts opts = {.containers = true};
	struct capture_bpf *skel = NULL;
	const char *remark = "";
	char why[256];
	bool legacy;

	if (programs__load(&skel, &opts, hooks, &(struct copies){}, NULL, why, sizeof(why)) < 0) {
		report_fact(r, "programs", "none", r->json ? "" : why);
		return;
	}
	legacy = programs__legacy(skel);
	capture_bpf__destroy(skel);
	if (legacy)
		remark = try_program("probe_bpf_loop") < 0 ? " (no bpf_loop)"
							   : " (the others do not load)";
	report_fact(r, "programs", legacy ? "legacy" : "modern", remark);
}

static int report_choice(struct report *r)
{
	struct probe_choice choice = {};
	int err = host__check(choice.why, sizeof(choice.why));
	const char *hooks;

	if (err == 0)
		err = probe__choose(HOOKS_AUTO, &choice);
	hooks = err < 0 ? "none" : hook_set__name(choice.hooks);
	if (err == 0)
		report_programs(r, choice.hooks);
	if (r->json) {
		json_object_set_new(r->json, "hooks", json_string(hooks));
		json_object_set_new(r->json, "why_not_better", json_string(choice.why));
	} else if (err < 0) {
		fprintf(r->out, "hook set none: %s\n", choice.why);
	} else if (choice.why[0]) {
		fprintf(r->out, "hook set %s; why not better: %s\n", hooks, choice.why);
	} else {
		fprintf(r->out, "hook set %s; the best there is\n", hooks);
	}
	return err < 0 ? -ENOTSUP : 0;
}

int probe__print(FILE *out, bool json)
{
	struct report r = {.out = out};
	enum preemption preemption = probe__preemption();
	bool fgraph = kernel__has_symbol("fprobe_return");
	int err;

	if (json) {
		r.features = json_array();
		r.json = json_pack("{s:o}", "features", r.features);
		if (!r.json)
			return -ENOMEM;
	}
	programs__quiet();
	report_check(&r, "capabilities", host__capabilities, "all that notail needs");
	report_check(&r, "BTF", host__btf, "the kernel's types, /sys/kernel/btf/vmlinux");
	report_check(&r, "pid namespace", host__pid_namespace, "the host's");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		report_feature(&r, &features[i]);
	report(&r, "fgraph return probes", fgraph,
	       fgraph ? "kretprobe.multi loses nothing" : "kretprobe.multi may lose records");
	report_preempted(&r);
	report_fact(&r, "preemption", preemption__name(preemption),
		    preemption == PREEMPTION_UNKNOWN ? ": taken for preemptible" : "");
	report_fact(&r, "lockdown", kernel__lockdown(), "");
	report_check(&r, "durable", check_durable,
		     "what `notail run' captures goes on without it: " CAPTURE_PINS);
	report_sandboxes(&r);
	report_cgroups(&r);
	err = report_choice(&r);
	if (json)
		json_object_set_new(r.json, "streams", report__streams_json());
	else
		report__streams(out);
	if (json && (json_dumpf(r.json, out, JSON_COMPACT) < 0 || fputc('\n', out) < 0) && !err)
		err = -EIO;
	json_decref(r.json);
	return err;
}
