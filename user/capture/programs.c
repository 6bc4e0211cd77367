/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's section says what it is for: fexit and fentry belong to the set fexit, k(ret)probe
 * multi to the set multi, the tracepoints of system calls and of io_uring to the set syscall,
 * anything else (process and cgroup events, iterators) is wanted always.
 *
 * The same function has other names in other kernels (pipe_read became anon_pipe_read in 6.16, and
 * vendors carried that back): there is a program for each name and those whose function is not in
 * the kernel's BTF are left out. A set is complete when one function to read pipes and one to write
 * them are attached; the others (tty, sockets, splice) only widen it, since a module's functions
 * are not in the kernel's BTF and static ones may be inlined.
 */
#include "capture/programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "cgroup_names.h"
#include "capture/digest.h"
#include "capture/proc.h"
#include "capture/traces.h"
#include "legacy.skel.h"

#define DEFAULT_RING_BYTES (32u << 20)
#define DEFAULT_MAX_STREAMS 16384
/* The kernel's own "not supported", which libc has no text for: arm64 without trampolines. */
#define KERNEL_ENOTSUPP 524

static int print_debug(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char text[1024];

	if (!log__enabled(LOG_DEBUG) || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("%s", text);
	return 0;
}

void programs__quiet(void)
{
	libbpf_set_print(print_debug);
}

const char *programs__reason(int error, char *buf, size_t size)
{
	const char *lockdown = "none";

	error = error < 0 ? -error : error;
	if (error == EPERM || error == EACCES)
		lockdown = kernel__lockdown();
	if (error == ESRCH) /* libbpf's, for a type that it cannot look up */
		snprintf(buf, size, "not in the kernel's BTF");
	else if (error == KERNEL_ENOTSUPP)
		snprintf(buf, size, "not supported by this kernel");
	else if (strcmp(lockdown, "none") != 0 && strcmp(lockdown, "unknown") != 0)
		snprintf(buf, size, "%s (kernel lockdown: %s)", strerror(error), lockdown);
	else
		snprintf(buf, size, "%s", strerror(error));
	return buf;
}

static bool begins(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static enum hook_set hook_set_of(const struct bpf_program *prog)
{
	const char *sec = bpf_program__section_name(prog);

	if (begins(sec, "fexit") || begins(sec, "fentry"))
		return HOOKS_FEXIT;
	if (begins(sec, "kprobe.") || begins(sec, "kretprobe."))
		return HOOKS_MULTI;
	if (strcmp(sec, "tp_btf/sys_exit") == 0 || strcmp(sec, "tp_btf/sys_enter") == 0 ||
	    strcmp(sec, "tp_btf/io_uring_complete") == 0)
		return HOOKS_SYSCALL;
	return HOOKS_AUTO; /* always */
}

static bool is_iterator(const struct bpf_program *prog)
{
	return begins(bpf_program__section_name(prog), "iter/");
}

/* A tracepoint is in the BTF as the type of its handler. */
static bool target_exists(const struct btf *btf, const struct bpf_program *prog)
{
	const char *sec = bpf_program__section_name(prog), *slash = strchr(sec, '/');
	char name[128];

	if (!slash || is_iterator(prog))
		return true;
	if (!begins(sec, "tp_btf/"))
		return btf__find_by_name_kind(btf, slash + 1, BTF_KIND_FUNC) > 0;
	snprintf(name, sizeof(name), "btf_trace_%s", slash + 1);
	return btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) > 0;
}

/* A second copy has the name of the first one with this behind it. */
static const char AGAIN[] = "_again";

static bool is_second_copy(const struct bpf_program *prog)
{
	const char *name = bpf_program__name(prog);
	size_t len = strlen(name);

	return len >= strlen(AGAIN) && strcmp(name + len - strlen(AGAIN), AGAIN) == 0;
}

/* What the legacy programs do without: io_submit is more than those verifiers can take, and
 * sendfile to a pipe goes through pipe_write there, unless the kernel has the function for it. */
static bool left_out(const struct btf *btf, const struct bpf_program *prog)
{
	const char *name = bpf_program__name(prog);

	return strcmp(name, "nt_tail_io_submit") == 0 ||
	       (strcmp(name, "nt_do_sendfile") == 0 &&
		btf__find_by_name_kind(btf, "splice_file_to_pipe", BTF_KIND_FUNC) < 0);
}

static void choose(struct capture_bpf *skel, const struct btf *btf, enum hook_set hooks,
		   const struct copies *copies, bool iterators)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, skel->obj)
	{
		enum hook_set set = hook_set_of(prog);
		bool wanted = (set == HOOKS_AUTO || set == hooks) && target_exists(btf, prog);

		if (is_second_copy(prog))
			wanted &= set == HOOKS_SYSCALL ? copies->reads : copies->events;
		if (programs__legacy(skel) && left_out(btf, prog))
			wanted = false;
		if (iterators && !is_iterator(prog))
			wanted = false;
		bpf_program__set_autoload(prog, wanted);
		if (!wanted && set == hooks)
			log_debug("%s: not in this kernel", bpf_program__section_name(prog));
	}
}

static int configure(struct capture_bpf *skel, const struct capture_opts *opts,
		     const struct copies *copies)
{
	size_t ring_bytes = opts->ring_bytes ? opts->ring_bytes : DEFAULT_RING_BYTES;
	size_t streams = opts->max_streams ? opts->max_streams : DEFAULT_MAX_STREAMS;
	int r;

	skel->rodata->nt_tap_mode = (uint32_t)opts->tap;
	skel->rodata->nt_containers = opts->containers;
	skel->bss->nt_self_tgid = (uint32_t)getpid();
	skel->bss->nt_orphan_boot_ns = skel->bss->nt_orphan_mono_ns = UINT64_MAX;
	skel->rodata->nt_sessions = opts->exec_sessions;
	skel->rodata->nt_no_writers = opts->attribution == ATTRIBUTION_OFF;
	skel->bss->nt_write_taps = opts->tap == TAP_WRITE;
	for (size_t i = 0; i < opts->n_cgroups && i < NT_ASKED_MAX; i++)
		snprintf((char *)skel->rodata->nt_asked[i], NT_ASKED_LEN, "%s", opts->cgroups[i]);
	skel->rodata->nt_n_asked = (uint32_t)MIN(opts->n_cgroups, (size_t)NT_ASKED_MAX);
	if (opts->rate_limit) {
		skel->rodata->nt_limit_ns_per_kib = NS_PER_SEC * 1024 / opts->rate_limit;
		skel->rodata->nt_limit_burst_ns =
			opts->rate_burst ? NS_PER_SEC * opts->rate_burst / opts->rate_limit
					 : NS_PER_SEC;
	}
	skel->rodata->nt_two_copies = copies->reads;
	r = bpf_map__set_autocreate(skel->maps.nt_marks, copies->reads);
	if (r == 0)
		r = bpf_map__set_max_entries(skel->maps.nt_ring, (uint32_t)ring_bytes);
	if (r == 0)
		r = bpf_map__set_max_entries(skel->maps.nt_streams, (uint32_t)streams);
	return r;
}

/* What only notes need costs nothing without them. Without a map of traces they have none. */
static int configure_notes(struct capture_bpf *skel, const struct capture_opts *opts)
{
	int r;

	/* Notes have their places by an atomic addition that the legacy programs do without. */
	skel->rodata->nt_notes = opts->attribution == ATTRIBUTION_LINE && !programs__legacy(skel);
	if (opts->attribution == ATTRIBUTION_LINE && !skel->rodata->nt_notes)
		log_warn("names are by stream: attribution by line needs a kernel with bpf_loop");
	if (skel->rodata->nt_notes) {
		r = traces__use(skel->maps.nt_traces, opts->traces);
		if (r < 0 && r != -ENOENT && r != -EINVAL)
			log_warn(
				"lines have no trace_id: cannot open the map of trace contexts: %s",
				strerror(-r));
		return 0;
	}
	r = bpf_map__set_autocreate(skel->maps.nt_traces, false);
	if (r == 0)
		r = bpf_map__set_autocreate(skel->maps.nt_contexts, false);
	return r < 0 ? r : bpf_map__set_autocreate(skel->maps.nt_scratch, false);
}

/* legacy.bpf.c has the same maps, programs and variables: one type for both. */
#define SAME(section, variable)                                                 \
	static_assert(offsetof(struct capture_bpf__##section, variable) ==      \
			      offsetof(struct legacy_bpf__##section, variable), \
		      "legacy.bpf.c: " #variable)
SAME(rodata, nt_tap_mode);
SAME(rodata, nt_asked);
SAME(rodata, nt_notes);
SAME(rodata, nt_two_copies);
SAME(rodata, nt_generation);
SAME(bss, nt_in_charge);
SAME(bss, nt_orphan_boot_ns);
SAME(bss, nt_write_taps);
SAME(bss, nt_wake_pos);
SAME(bss, nt_searches);
SAME(bss, nt_filter_files);
SAME(bss, nt_filter_readers);
static_assert(sizeof(struct capture_bpf__rodata) == sizeof(struct legacy_bpf__rodata) &&
		      sizeof(struct capture_bpf__bss) == sizeof(struct legacy_bpf__bss),
	      "legacy.bpf.c has other variables");

static int open_object(struct capture_bpf **ret, bool legacy)
{
	struct capture_bpf *skel = calloc(1, sizeof(*skel));
	int r = skel ? capture_bpf__create_skeleton(skel) : -ENOMEM;

	if (r == 0 && legacy)
		skel->skeleton->data = (void *)legacy_bpf__elf_bytes(&skel->skeleton->data_sz);
	if (r == 0)
		r = bpf_object__open_skeleton(skel->skeleton, NULL);
	if (r < 0)
		capture_bpf__destroy(skel);
	else
		*ret = skel;
	return r;
}

bool programs__legacy(const struct capture_bpf *skel)
{
	size_t size;

	return skel->skeleton->data == legacy_bpf__elf_bytes(&size);
}

uint64_t programs__digest(uint64_t digest)
{
	const void *data;
	size_t size;

	data = capture_bpf__elf_bytes(&size);
	digest = digest__bytes(digest, data, size);
	data = legacy_bpf__elf_bytes(&size);
	return digest__bytes(digest, data, size);
}

static int load_object(struct capture_bpf **ret, const struct capture_opts *opts,
		       enum hook_set hooks, const struct copies *copies,
		       const struct programs_from *from, const struct btf *btf, bool legacy)
{
	struct capture_bpf *skel = NULL;
	int r = open_object(&skel, legacy);

	if (r == 0)
		r = configure(skel, opts, copies);
	if (r == 0 && from)
		skel->rodata->nt_generation = skel->bss->nt_in_charge = from->generation;
	if (r == 0)
		r = configure_notes(skel, opts);
	if (r == 0 && hooks != HOOKS_MULTI)
		r = bpf_map__set_max_entries(skel->maps.nt_entries, 1);
	if (r == 0 && from && from->maps)
		r = from->maps(from->ctx, skel);
	if (r == 0) {
		choose(skel, btf, hooks, copies, from && from->iterators);
		r = capture_bpf__load(skel);
	}
	if (r < 0)
		capture_bpf__destroy(skel);
	else
		*ret = skel;
	return r;
}

int programs__load(struct capture_bpf **ret, const struct capture_opts *opts, enum hook_set hooks,
		   const struct copies *copies, const struct programs_from *from, char *ret_why,
		   size_t size)
{
	bool only_one = from && from->iterators;
	struct btf *btf = btf__load_vmlinux_btf();
	char reason[128];
	int r;

	if (!btf) {
		r = -errno;
		snprintf(ret_why, size, "cannot read the kernel's types in /sys/kernel/btf: %s",
			 strerror(-r));
		return r;
	}
	r = load_object(ret, opts, hooks, copies, from, btf, only_one && from->legacy);
	if (r < 0 && !only_one && load_object(ret, opts, hooks, copies, from, btf, true) == 0) {
		log_debug("legacy %s programs: the others do not load here: %s",
			  hook_set__name(hooks), programs__reason(r, reason, sizeof(reason)));
		r = 0;
	}
	btf__free(btf);
	if (r < 0)
		snprintf(ret_why, size, "%s programs do not load here: %s", hook_set__name(hooks),
			 programs__reason(r, reason, sizeof(reason)));
	return r;
}

/*
 * nt_multi_F and nt_multi_F_ret are a pair on the function F or its newer name anon_F, whichever
 * the kernel has.
 */
static struct bpf_link *attach_multi(const struct bpf_program *prog)
{
	const char *name = bpf_program__name(prog);
	bool at_return = begins(bpf_program__section_name(prog), "kretprobe.");
	char function[64], renamed[72];
	const char *symbol = function;
	/* Without cookies, reading the link's fdinfo takes 6.18 down
	 * (bpf_kprobe_multi_show_fdinfo). */
	const __u64 cookie = 0;
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = &symbol, .cookies = &cookie, .cnt = 1,
		    .retprobe = at_return);
	struct bpf_link *link;
	size_t len;

	name += begins(name, "nt_multi_") ? strlen("nt_multi_") : 0;
	len = strlen(name);
	if (len > 4 && strcmp(name + len - 4, "_ret") == 0)
		len -= 4;
	snprintf(function, sizeof(function), "%.*s", (int)len, name);
	snprintf(renamed, sizeof(renamed), "anon_%s", function);
	link = bpf_program__attach_kprobe_multi_opts(prog, NULL, &opts);
	if (!link) {
		symbol = renamed;
		link = bpf_program__attach_kprobe_multi_opts(prog, NULL, &opts);
	}
	return link;
}

static int attach_one(const struct bpf_program *prog, struct bpf_link **ret_link)
{
	struct bpf_link *link =
		hook_set_of(prog) == HOOKS_MULTI ? attach_multi(prog) : bpf_program__attach(prog);

	if (!link)
		return -errno;
	*ret_link = link;
	return 0;
}

/* What a set cannot do without. */
struct attached {
	bool reads_pipes, writes_pipes;
};

/* Of a pair the return probe counts: it does the work. */
static void note(struct attached *a, const struct bpf_program *prog)
{
	const char *name = bpf_program__name(prog);

	if (begins(bpf_program__section_name(prog), "kprobe."))
		return;
	a->reads_pipes |= strstr(name, "pipe_read") || strcmp(name, "nt_sys_exit") == 0;
	a->writes_pipes |= strstr(name, "pipe_write") || strcmp(name, "nt_sys_exit") == 0;
}

/* Programs that are nowhere attached: nt_sys_exit goes on in them. In the order of enum nt_tail. */
static const char *const tails[] = {"nt_tail_io_submit", "nt_tail_vmsplice", "nt_tail_sendmmsg",
				    "nt_tail_socketcall", "nt_tail_exec"};

/* Without it only its own call is not counted. */
static bool set_tail(struct capture_bpf *skel, const struct bpf_program *prog)
{
	int fd = bpf_program__fd(prog);

	for (uint32_t i = 0; i < ARRAY_SIZE(tails); i++) {
		if (strcmp(bpf_program__name(prog), tails[i]) != 0)
			continue;
		if (bpf_map_update_elem(bpf_map__fd(skel->maps.nt_tails), &i, &fd, BPF_ANY) < 0)
			log_debug("%s is not in its place: %s", tails[i], strerror(errno));
		return true;
	}
	return false;
}

int programs__attach(struct capture_bpf *skel, enum hook_set hooks, char *ret_why, size_t size)
{
	struct attached done = {};
	char reason[128];

	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		const struct bpf_prog_skeleton *p = &skel->skeleton->progs[i];
		const struct bpf_program *prog = *p->prog;
		int r;

		if (!bpf_program__autoload(prog) || is_iterator(prog))
			continue;
		if (set_tail(skel, prog))
			continue;
		r = attach_one(prog, p->link);
		if (r == 0) {
			note(&done, prog);
			continue;
		}
		programs__reason(r, reason, sizeof(reason));
		if (hook_set_of(prog) == HOOKS_AUTO) {
			snprintf(ret_why, size, "%s does not attach here: %s",
				 bpf_program__section_name(prog), reason);
			return r;
		}
		log_debug("%s does not attach here: %s", bpf_program__name(prog), reason);
	}
	if (!done.reads_pipes || !done.writes_pipes) {
		snprintf(ret_why, size, "%s programs do not attach here to the functions of pipes",
			 hook_set__name(hooks));
		return -ENOTSUP;
	}
	return 0;
}

/* Those of the sets fexit and multi that do nothing but tap writes. */
static bool taps_writes(const struct bpf_program *prog)
{
	static const char *const functions[] = {"pipe_write", "tty_write", "unix_stream_send",
						"do_tee", "do_sendfile"};
	enum hook_set set = hook_set_of(prog);

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if ((set == HOOKS_FEXIT || set == HOOKS_MULTI) &&
		    strstr(bpf_program__name(prog), functions[i]))
			return true;
	return false;
}

void programs__detach_writers(struct capture_bpf *skel)
{
	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		const struct bpf_prog_skeleton *p = &skel->skeleton->progs[i];

		if (!taps_writes(*p->prog) || !*p->link)
			continue;
		bpf_link__destroy(*p->link);
		*p->link = NULL;
	}
}

int programs__attach_writers(struct capture_bpf *skel)
{
	int r = -ENOTSUP;

	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		const struct bpf_prog_skeleton *p = &skel->skeleton->progs[i];

		if (bpf_program__autoload(*p->prog) && taps_writes(*p->prog) && !*p->link &&
		    attach_one(*p->prog, p->link) == 0)
			r = 0;
	}
	return r;
}

/* To its end. Takes the link over. */
static int run_iterator(struct bpf_link *link)
{
	_close_ int fd = -1;
	char text[512];
	ssize_t n;
	int r = 0;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		r = -errno;
	while (r == 0) {
		n = read(fd, text, sizeof(text));
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			r = -errno;
	}
	bpf_link__destroy(link);
	return r;
}

int programs__sweep(struct capture_bpf *skel, uint64_t cgroup_id, uint32_t reader)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(skel->obj, "nt_sweep");
	union bpf_iter_link_info info = {.map.map_fd =
						 (uint32_t)bpf_map__fd(skel->maps.nt_streams)};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	if (!prog)
		return 0; /* the kernel's side does it */
	skel->bss->nt_sweep_cgroup = cgroup_id;
	skel->bss->nt_sweep_reader = reader;
	return run_iterator(bpf_program__attach_iter(prog, &opts));
}

int programs__iterate(struct bpf_program *prog)
{
	return run_iterator(bpf_program__attach_iter(prog, NULL));
}

static uint64_t misses_of(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	return info.recursion_misses;
}

static int program_fd(const struct capture_bpf *skel, const int *fds, int i)
{
	return fds ? fds[i] : bpf_program__fd(*skel->skeleton->progs[i].prog);
}

uint64_t programs__recursion_misses(const struct capture_bpf *skel, const int *fds)
{
	uint64_t sum = 0;

	for (int i = 0; i < skel->skeleton->prog_cnt; i++)
		sum += misses_of(program_fd(skel, fds, i));
	return sum;
}

/* -1: it has none. */
static int second_copy_of(const struct capture_bpf *skel, const int *fds,
			  const struct bpf_program *first)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", bpf_program__name(first), AGAIN);
	for (int i = 0; i < skel->skeleton->prog_cnt; i++)
		if (!strcmp(bpf_program__name(*skel->skeleton->progs[i].prog), name))
			return program_fd(skel, fds, i);
	return -1;
}

/*
 * What both copies were skipped for is in both of their numbers. Their minimum moves then, and at
 * times when it would not have to.
 */
uint64_t programs__misses(const struct capture_bpf *skel, const int *fds)
{
	uint64_t sum = skel->bss->nt_unmarked;

	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		const struct bpf_program *prog = *skel->skeleton->progs[i].prog;
		int fd = program_fd(skel, fds, i), again;

		if (fd < 0 || is_second_copy(prog))
			continue;
		again = second_copy_of(skel, fds, prog);
		sum += again >= 0 ? MIN(misses_of(fd), misses_of(again)) : misses_of(fd);
	}
	return sum;
}
