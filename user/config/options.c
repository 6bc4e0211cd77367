/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argp reads the options and lays out the help; what it would print about mistakes is replaced by
 * one line that says what is wrong and what was expected. Arguments are taken in order, so that
 * what follows `--` is the command and nothing else, and argv is not permuted.
 */
#include "config/options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/names.h"
#include "config/config.h"
#include "config/values.h"
#include "io/http.h"
#include "io/httpd.h"
#include "security/filter.h"
#include "spool/spool.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum {
	KEY_HELP = 'h',
	KEY_TIMES = 't',
	KEY_CONFIG = 'c',
	KEY_STDOUT = 256,
	KEY_LOKI,
	KEY_TENANT,
	KEY_INSPECT,
	KEY_CONTAINER,
	KEY_CGROUP,
	KEY_LABEL,
	KEY_STREAM,
	KEY_PID,
	KEY_DOCKER,
	KEY_NO_DOCKER,
	KEY_EXEC_SESSIONS,
	KEY_TAP,
	KEY_HOOKS,
	KEY_ATTRIBUTION,
	KEY_RATE_LIMIT,
	KEY_RING_SIZE,
	KEY_MAX_LINE_SIZE,
	KEY_BATCHWAIT,
	KEY_BATCHSIZE,
	KEY_PINS,
	KEY_DETACH_ON_EXIT,
	KEY_FORCE,
	KEY_HOST,
	KEY_LISTEN,
	KEY_SPOOL_DIR,
	KEY_SHUTDOWN_TIMEOUT,
	KEY_LOG_LEVEL,
	KEY_LOG_FORMAT,
	KEY_STATS,
	KEY_JSON,
	KEY_REGISTERED,
	KEY_EFFECTIVE,
	KEY_SCHEMA,
	KEY_DEFAULTS,
	KEY_VERSION,
};

static const struct argp_option OPTIONS[] = {
	{NULL, 0, NULL, 0, "Where the lines go:", 1},
	{"stdout", KEY_STDOUT, "FORMAT", OPTION_ARG_OPTIONAL,
	 "Print them: text (default), json (one object per line), logfmt, raw (the bytes alone)",
	 1},
	{"timestamps", KEY_TIMES, NULL, 0, "Begin each line of text or raw with its time", 1},
	{"loki", KEY_LOKI, "URL", 0,
	 "Push them to Grafana Loki, e.g. http://localhost:3100; https and user:password@ work", 1},
	{"inspect", KEY_INSPECT, NULL, 0,
	 "With --stdout -c FILE: show on stderr what each of its stages does to each line", 1},
	{"tenant", KEY_TENANT, "ID", 0, "Loki's tenant (X-Scope-OrgID)", 1},
	{NULL, 0, NULL, 0, "Which lines (default: those of every container of this host):", 2},
	{"container", KEY_CONTAINER, "NAME", 0,
	 "Containers of this name, shell patterns work, or whose id begins so (6 digits or more); "
	 "may be repeated",
	 2},
	{"label", KEY_LABEL, "K=V", 0, "Only with this label; repeated: with all of them", 2},
	{"stream", KEY_STREAM, "NAME", 0, "Only stdout or only stderr", 2},
	{"cgroup", KEY_CGROUP, "PATH", 0,
	 "Besides containers, what runs in this cgroup and below, e.g. "
	 "/system.slice/foo.service; * and ? match within a component; may be repeated",
	 2},
	{"exec-sessions", KEY_EXEC_SESSIONS, NULL, 0,
	 "Those of `docker exec' too, which docker logs does not show", 2},
	{"pid", KEY_PID, "PID", 0, "The output of a process that runs already", 2},
	{"docker", KEY_DOCKER, "HOST", 0,
	 "Docker's API, for names and labels: unix://SOCKET or tcp://HOST:PORT "
	 "(default: unix:///var/run/docker.sock)",
	 2},
	{"no-docker", KEY_NO_DOCKER, NULL, 0, "Do not ask Docker: lines carry ids only", 2},
	{NULL, 0, NULL, 0, "How:", 3},
	{"config", KEY_CONFIG, "FILE", 0,
	 "Configuration, notail's or Promtail's; options come first (default, unless lines are "
	 "printed: " CONFIG_DEFAULT_PATH " where it is)",
	 3},
	{"host", KEY_HOST, "NAME", 0, "Value of the label host (default: the host's name)", 3},
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Status page and metrics (default: " SERVER_DEFAULT_LISTEN "; none where lines are "
	 "printed); off: none",
	 3},
	{"batchwait", KEY_BATCHWAIT, "TIME", 0,
	 "Push a line at the latest so long after it came (default: 1s)", 3},
	{"batchsize", KEY_BATCHSIZE, "SIZE", 0, "Push when so much has come (default: 1MiB)", 3},
	{"max-line-size", KEY_MAX_LINE_SIZE, "SIZE", 0,
	 "Longer lines are cut there, and marked (default: 256KiB)", 3},
	{"ring-size", KEY_RING_SIZE, "SIZE", 0,
	 "Memory for what is not delivered yet: a power of two, 1MiB to 1GiB (default: 32MiB)", 3},
	{"shutdown-timeout", KEY_SHUTDOWN_TIMEOUT, "TIME", 0,
	 "At the end deliver what there is for so long (default: 10s)", 3},
	{"spool-dir", KEY_SPOOL_DIR, "DIRECTORY", 0,
	 "Files for what Loki has not taken (default: " SPOOL_DEFAULT_DIRECTORY "); off: none", 3},
	{"tap", KEY_TAP, "MODE", 0,
	 "Copy at the runtime's read, or at the container's write: auto (default), read, write", 3},
	{"hooks", KEY_HOOKS, "SET", 0,
	 "Kernel hooks: auto (default; see `notail probe'), fexit, multi, syscall", 3},
	{"attribution", KEY_ATTRIBUTION, "MODE", 0,
	 "Name the writing process, and prove that nothing is missing: stream (default); line, "
	 "with thread and trace, where processes race too, at a cost for each write; off, and the "
	 "container's writes cost less",
	 3},
	{"rate-limit", KEY_RATE_LIMIT, "SIZE/s[:BURST]", 0,
	 "Drop, and count, what a container writes over this (BURST: a second's worth)", 3},
	{"pins", KEY_PINS, "DIR", 0,
	 "`notail run': a directory of a BPF file system, where what captures and what is not "
	 "delivered yet outlives notail (default: " CAPTURE_PINS "); off: nothing does",
	 3},
	{"detach-on-exit", KEY_DETACH_ON_EXIT, NULL, 0,
	 "`notail run': capture ends with it, unless it is killed", 3},
	{"stats", KEY_STATS, NULL, 0, "Print what was counted, on stderr, at the end", 3},
	{"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
	 "notail's own messages, on stderr: error, warn, info (default), debug", 3},
	{"log-format", KEY_LOG_FORMAT, "FORMAT", 0, "How they look: text (default), logfmt, json",
	 3},
	{"json", KEY_JSON, NULL, 0, "`notail probe': print the report as JSON", 4},
	{"registered", KEY_REGISTERED, NULL, 0,
	 "`notail probe': the streams that the notails of this host have registered", 4},
	{"force", KEY_FORCE, NULL, 0, "`notail unpin': also while a run goes on", 4},
	{"effective", KEY_EFFECTIVE, NULL, 0,
	 "`notail check-config FILE': print what is in force, secrets masked", 4},
	{"schema", KEY_SCHEMA, NULL, 0, "`notail check-config': print the JSON Schema of a file",
	 4},
	{"defaults", KEY_DEFAULTS, NULL, 0,
	 "`notail check-config': print a file with every default, commented", 4},
	{"help", KEY_HELP, NULL, 0, "This text", 4},
	{"version", KEY_VERSION, NULL, 0, "The version", 4},
	{0},
};

static const char ARGS_DOC[] =
	"--stdout\n--stdout -- CMD [ARG...]\n--loki URL\nrun\nevents\ncheck-config "
	"FILE\nprobe\nunpin\nversion";

static const char DOC[] =
	"Captures what containers write to stdout and stderr, in the kernel, and prints it or "
	"pushes it to Grafana Loki. Needs root.\n\n"
	"  run           capture until ended, for services: needs --loki, --stdout or a file's "
	"clients\n"
	"  events        push a Kubernetes cluster's events, as lines; needs no privilege\n"
	"  check-config  what is wrong with a configuration file; exit status 1 when something is\n"
	"  check-loki    push a line to a Loki, or to a file's clients, and read it back\n"
	"  support-bundle  what helps to find out what is wrong, as a tar file; no log lines\n"
	"  probe         what this kernel offers, and what notail would use\n"
	"  unpin         end the capture that a `run' left behind, and drop what is not delivered\n"
	"  version       the version\n\n"
	"SIZE is bytes or has a suffix (k, M, G, KiB, MiB, GiB: powers of 1024), TIME has a unit "
	"(500ms, 1s, 2m)."
	"\v"
	"Examples:\n"
	"  notail --stdout                          every container of this host, live\n"
	"  notail --stdout --container 'web*' -t    some of them, with times\n"
	"  notail --stdout=json --stream stderr     stderr only, for a program to read\n"
	"  notail --stdout -- make test             a command; needs no engine\n"
	"  notail --stdout --pid 1234               a process that runs already\n"
	"  notail --loki http://localhost:3100      push everything to Loki\n"
	"\n"
	"Exit status: 0, or that of CMD; 1 when this host cannot do it; 2 for a mistake on the "
	"command line.";

static error_t options__on_key(int key, char *arg, struct argp_state *state);

static const struct argp ARGP = {
	.options = OPTIONS,
	.parser = options__on_key,
	.args_doc = ARGS_DOC,
	.doc = DOC,
};

struct parse {
	struct options o;
	const char *word; /* run, probe, ...; NULL: none */
	bool help;
	bool reported;
};

/* The one line. EINVAL, for argp. */
static error_t _printf_(2, 3) refuse(struct parse *p, const char *fmt, ...)
{
	va_list args;

	p->reported = true;
	fputs("notail: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return EINVAL;
}

/* Digits, then one of the suffixes. */
static int parse_number(const char *text, uint64_t *ret_number, const char **ret_suffix)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	*ret_suffix = end;
	return errno ? -ERANGE : 0;
}

struct unit {
	const char *suffix;
	uint64_t factor;
};

static int parse_with_unit(const char *text, const struct unit *units, size_t n, uint64_t *ret)
{
	const char *suffix;
	uint64_t number, product;
	int err = parse_number(text, &number, &suffix);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(suffix, units[i].suffix))
			continue;
		if (__builtin_mul_overflow(number, units[i].factor, &product))
			return -ERANGE;
		*ret = product;
		return 0;
	}
	return -EINVAL;
}

static const struct unit SIZE_UNITS[] = {
	{"", 1},    {"k", KIB},	  {"K", KIB}, {"KiB", KIB}, {"m", MIB},
	{"M", MIB}, {"MiB", MIB}, {"g", GIB}, {"G", GIB},   {"GiB", GIB},
};

static const struct unit TIME_UNITS[] = {
	{"ms", NS_PER_MS},
	{"s", NS_PER_SEC},
	{"m", 60 * NS_PER_SEC},
	{"h", 3600 * NS_PER_SEC},
};

static error_t set_size(struct parse *p, const char *option, const char *text, uint64_t min,
			uint64_t max, const char *range, size_t *ret)
{
	uint64_t size = 0;

	if (parse_with_unit(text, SIZE_UNITS, ARRAY_SIZE(SIZE_UNITS), &size) == -EINVAL)
		return refuse(p, "--%s=%s: no size, expected a number of bytes or one like 64KiB",
			      option, text);
	if (size < min || size > max)
		return refuse(p, "--%s=%s: out of range, expected %s", option, text, range);
	*ret = size;
	return 0;
}

static error_t set_ring_size(struct parse *p, const char *text)
{
	static const char range[] = "a power of two from 1MiB to 1GiB";
	size_t size;
	error_t err = set_size(p, "ring-size", text, MIB, GIB, range, &size);

	if (err)
		return err;
	if (size & (size - 1))
		return refuse(p, "--ring-size=%s: expected %s", text, range);
	p->o.ring_bytes = size;
	return 0;
}

/* RATE/s[:BURST] */
static error_t set_rate_limit(struct parse *p, const char *text)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	_free_ char *rate = strndup(text, len);
	error_t err;

	if (!rate)
		return ENOMEM;
	if (len < 2 || strcmp(rate + len - 2, "/s"))
		return refuse(p,
			      "--rate-limit=%s: expected a size per second like 1MiB/s or "
			      "1MiB/s:10MiB",
			      text);
	rate[len - 2] = '\0';
	err = set_size(p, "rate-limit", rate, CAPTURE_RATE_MIN, CAPTURE_RATE_MAX,
		       "1KiB/s to 1GiB/s", &p->o.rate_limit);
	if (!err && colon)
		err = set_size(p, "rate-limit", colon + 1, KIB, CAPTURE_RATE_MAX,
			       "a burst from 1KiB to 1GiB", &p->o.rate_burst);
	return err;
}

static error_t set_time(struct parse *p, const char *option, const char *text, uint64_t *ret_ns)
{
	uint64_t ns = 0;

	if (parse_with_unit(text, TIME_UNITS, ARRAY_SIZE(TIME_UNITS), &ns) == -EINVAL)
		return refuse(p, "--%s=%s: no time, expected one like 500ms or 1s", option, text);
	if (ns < NS_PER_MS || ns > 300 * NS_PER_SEC)
		return refuse(p, "--%s=%s: out of range, expected 1ms to 5m", option, text);
	*ret_ns = ns;
	return 0;
}

static error_t set_quantity(struct parse *p, int key, const char *text)
{
	switch (key) {
	case KEY_RING_SIZE:
		return set_ring_size(p, text);
	case KEY_MAX_LINE_SIZE:
		return set_size(p, "max-line-size", text, 16, 16 * MIB, "16 bytes to 16MiB",
				&p->o.max_line_size);
	case KEY_BATCHSIZE:
		return set_size(p, "batchsize", text, KIB, 64 * MIB, "1KiB to 64MiB",
				&p->o.batch_bytes);
	case KEY_BATCHWAIT:
		return set_time(p, "batchwait", text, &p->o.batch_wait_ns);
	case KEY_SHUTDOWN_TIMEOUT:
		return set_time(p, "shutdown-timeout", text, &p->o.shutdown_ns);
	default:
		return set_rate_limit(p, text);
	}
}

static error_t set_format(struct parse *p, const char *name)
{
	static const struct {
		const char *name;
		enum batch_encoding encoding;
	} formats[] = {
		{"text", BATCH_TEXT},
		{"json", BATCH_JSON},
		{"logfmt", BATCH_LOGFMT},
		{"raw", BATCH_RAW},
	};

	p->o.to_stdout = true;
	p->o.format = BATCH_TEXT;
	if (!name)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(name, formats[i].name))
			continue;
		p->o.format = formats[i].encoding;
		return 0;
	}
	return refuse(p, "--stdout=%s: unknown format, expected text, json, logfmt or raw", name);
}

/* What is before the host is a copy of our own, for ps shows the command line. */
static error_t take_url(struct parse *p, char *url)
{
	char *host = strstr(url, "://"), *end;

	p->o.loki_url = url;
	if (!host)
		return 0;
	host += strlen("://");
	end = memrchr(host, '@', strcspn(host, "/?#"));
	if (!end)
		return 0;
	free(p->o.secret_url);
	p->o.loki_url = p->o.secret_url = strdup(url);
	memset(host, 'x', (size_t)(end - host));
	return p->o.secret_url ? 0 : ENOMEM;
}

static error_t set_loki(struct parse *p, char *url)
{
	/* A password may be in it. */
	const char *shown = strchr(url, '@') ? "" : url, *why = "its user or password is malformed";
	_free_ char *bare = NULL, *userinfo = NULL;

	if (http__check_url(url, &why) || http__split_userinfo(url, &bare, &userinfo))
		return refuse(p, "--loki%s%s: %s, expected a URL like http://localhost:3100",
			      *shown ? "=" : "", shown, why);
	return take_url(p, url);
}

static error_t set_docker(struct parse *p, const char *host)
{
	const char *wrong = values__check_docker_host(host);

	if (wrong)
		return refuse(p, "--docker=%s: %s", host, wrong);
	p->o.docker_host = host;
	return 0;
}

static error_t set_listen(struct parse *p, const char *address)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (values__listens(address) && httpd__parse_address(address, &to, &len))
		return refuse(p,
			      "--listen=%s: expected ADDRESS:PORT such as " SERVER_DEFAULT_LISTEN
			      ", or off",
			      address);
	p->o.listen = address;
	p->o.must_listen = true;
	p->o.given.listen = true;
	return 0;
}

static error_t set_spool_directory(struct parse *p, const char *path)
{
	const char *expected = values__check_spool_directory(path);

	if (expected || !*path)
		return refuse(p, "--spool-dir=%s: expected an absolute path, or off", path);
	p->o.spool_directory = path;
	return 0;
}

static error_t set_pins(struct parse *p, const char *dir)
{
	const char *expected = values__check_pins(dir);

	if (expected || !*dir)
		return refuse(p, "--pins=%s: expected a directory such as " CAPTURE_PINS ", or off",
			      dir);
	p->o.pins = dir;
	return 0;
}

static error_t set_pid(struct parse *p, const char *text)
{
	const char *suffix;
	uint64_t pid;

	if (parse_number(text, &pid, &suffix) || *suffix || pid < 1 || pid > INT_MAX)
		return refuse(p, "--pid=%s: expected the number of a process", text);
	p->o.pid = (pid_t)pid;
	return 0;
}

/* What ends up in a header or a label. */
static error_t set_name(struct parse *p, const char *option, const char *text, const char **ret)
{
	if (!values__is_name(text))
		return refuse(p, "--%s: expected a name without control characters", option);
	*ret = text;
	return 0;
}

static error_t add(const char ***list, size_t *n, const char *text)
{
	const char **grown = reallocarray(*list, *n + 1, sizeof(**list));

	if (!grown)
		return ENOMEM;
	grown[(*n)++] = text;
	*list = grown;
	return 0;
}

static error_t add_selector(struct parse *p, int key, const char *text)
{
	struct options *o = &p->o;
	const char *expected;

	switch (key) {
	case KEY_CONTAINER:
		if (!*text)
			return refuse(p, "--container: expected a name, a pattern or an id");
		return add(&o->containers, &o->n_containers, text);
	case KEY_CGROUP:
		if ((expected = names__check(text)))
			return refuse(p, "--cgroup=%s: expected %s", text, expected);
		if (o->n_cgroups == CAPTURE_CGROUPS_MAX)
			return refuse(p, "--cgroup=%s: one too many, at most %d", text,
				      CAPTURE_CGROUPS_MAX);
		return add(&o->cgroups, &o->n_cgroups, text);
	case KEY_LABEL:
		if (!strchr(text, '=') || *text == '=')
			return refuse(p, "--label=%s: expected NAME=VALUE", text);
		return add(&o->labels, &o->n_labels, text);
	default:
		if (strcmp(text, "stdout") && strcmp(text, "stderr"))
			return refuse(p, "--stream=%s: expected stdout or stderr", text);
		return add(&o->streams, &o->n_streams, text);
	}
}

static error_t set_mode(struct parse *p, int key, const char *name)
{
	switch (key) {
	case KEY_TAP:
		p->o.given.tap = true;
		if (tap_mode__parse(name, &p->o.tap))
			return refuse(p, "--tap=%s: unknown mode, expected auto, read or write",
				      name);
		return 0;
	case KEY_ATTRIBUTION:
		p->o.given.attribution = true;
		if (attribution__parse(name, &p->o.attribution))
			return refuse(p,
				      "--attribution=%s: unknown mode, expected stream, line or "
				      "off",
				      name);
		return 0;
	case KEY_HOOKS:
		p->o.given.hooks = true;
		if (hook_set__parse(name, &p->o.hooks))
			return refuse(p,
				      "--hooks=%s: unknown set, expected auto, fexit, multi or "
				      "syscall",
				      name);
		return 0;
	case KEY_LOG_FORMAT:
		p->o.given.log_format = true;
		if (log__format_parse(name, &p->o.log_format))
			return refuse(p,
				      "--log-format=%s: unknown format, expected text, logfmt or "
				      "json",
				      name);
		return 0;
	default:
		p->o.given.log_level = true;
		if (log__level_parse(name, &p->o.log_level))
			return refuse(p,
				      "--log-level=%s: unknown level, expected error, warn, info "
				      "or debug",
				      name);
		return 0;
	}
}

/* A word that is no option: a command of notail's, or, behind `--`, CMD and all that follows. */
static error_t take_argument(struct parse *p, char *arg, struct argp_state *state)
{
	if (state->quoted && state->next > state->quoted) {
		p->o.command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	}
	if (p->word && p->o.action == ACTION_CHECK_CONFIG && !p->o.check_file) {
		p->o.check_file = arg;
		return 0;
	}
	if (p->word && p->o.action == ACTION_CHECK_LOKI && !p->o.loki_url)
		return set_loki(p, arg);
	if (p->word && p->o.action == ACTION_SUPPORT_BUNDLE && !p->o.bundle) {
		p->o.bundle = arg;
		return 0;
	}
	if (p->word)
		return refuse(p, "%s: unexpected after %s; a command to run goes behind --", arg,
			      p->word);
	if (!strcmp(arg, "probe"))
		p->o.action = ACTION_PROBE;
	else if (!strcmp(arg, "check-config"))
		p->o.action = ACTION_CHECK_CONFIG;
	else if (!strcmp(arg, "check-loki"))
		p->o.action = ACTION_CHECK_LOKI;
	else if (!strcmp(arg, "support-bundle"))
		p->o.action = ACTION_SUPPORT_BUNDLE;
	else if (!strcmp(arg, "events"))
		p->o.action = ACTION_EVENTS;
	else if (!strcmp(arg, "unpin"))
		p->o.action = ACTION_UNPIN;
	else if (!strcmp(arg, "version"))
		p->o.action = ACTION_VERSION;
	else if (strcmp(arg, "run"))
		return refuse(p,
			      "%s: unknown command, expected run, events, check-config, "
			      "check-loki, probe, support-bundle, unpin or version (a format goes "
			      "--stdout=json, a "
			      "command to run behind --)",
			      arg);
	p->word = arg;
	return 0;
}

/* getopt refused an option. It does not say why, but its name is the last that was read. */
static error_t refuse_option(struct parse *p, const struct argp_state *state)
{
	const char *arg = state->argv[state->next - 1];
	size_t len = strcspn(arg, "=");

	for (const struct argp_option *o = OPTIONS; o->name || o->doc; o++) {
		if (!o->name || len < 3 || strncmp(arg, "--", 2) || strlen(o->name) != len - 2 ||
		    strncmp(arg + 2, o->name, len - 2))
			continue;
		if (o->arg)
			return refuse(p, "%s: needs a value, see notail --help", arg);
		return refuse(p, "%.*s: takes no value, see notail --help", (int)len, arg);
	}
	return refuse(p, "%.*s: unknown option, see notail --help", (int)len, arg);
}

/* NULL: it is no switch. */
static bool *get_switch(struct options *o, int key)
{
	switch (key) {
	case KEY_TIMES:
		return &o->times;
	case KEY_INSPECT:
		return &o->inspect;
	case KEY_NO_DOCKER:
		return &o->no_docker;
	case KEY_EXEC_SESSIONS:
		return &o->exec_sessions;
	case KEY_JSON:
		return &o->json;
	case KEY_REGISTERED:
		return &o->registered;
	case KEY_STATS:
		return &o->stats;
	case KEY_DETACH_ON_EXIT:
		return &o->detach_on_exit;
	case KEY_FORCE:
		return &o->force;
	case KEY_EFFECTIVE:
		return &o->effective;
	case KEY_SCHEMA:
		return &o->schema;
	case KEY_DEFAULTS:
		return &o->defaults;
	default:
		return NULL;
	}
}

static error_t set_option(struct parse *p, int key, char *arg)
{
	struct options *o = &p->o;

	switch (key) {
	case KEY_STDOUT:
		return set_format(p, arg);
	case KEY_LOKI:
		return set_loki(p, arg);
	case KEY_TENANT:
		return set_name(p, "tenant", arg, &o->tenant);
	case KEY_HOST:
		return set_name(p, "host", arg, &o->host);
	case KEY_CONFIG:
		if (!*arg)
			return refuse(p, "--config: expected a file");
		o->config = arg;
		return 0;
	case KEY_CONTAINER:
	case KEY_CGROUP:
	case KEY_LABEL:
	case KEY_STREAM:
		return add_selector(p, key, arg);
	case KEY_PINS:
		return set_pins(p, arg);
	case KEY_PID:
		return set_pid(p, arg);
	case KEY_LISTEN:
		return set_listen(p, arg);
	case KEY_SPOOL_DIR:
		return set_spool_directory(p, arg);
	case KEY_DOCKER:
		return set_docker(p, arg);
	case KEY_TAP:
	case KEY_HOOKS:
	case KEY_ATTRIBUTION:
	case KEY_LOG_LEVEL:
	case KEY_LOG_FORMAT:
		return set_mode(p, key, arg);
	case KEY_RING_SIZE:
	case KEY_MAX_LINE_SIZE:
	case KEY_BATCHSIZE:
	case KEY_BATCHWAIT:
	case KEY_SHUTDOWN_TIMEOUT:
	case KEY_RATE_LIMIT:
		return set_quantity(p, key, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t options__on_key(int key, char *arg, struct argp_state *state)
{
	struct parse *p = state->input;
	struct options *o = &p->o;
	bool *flag = get_switch(o, key);

	if (flag) {
		*flag = true;
		return 0;
	}
	switch (key) {
	case KEY_VERSION:
		o->action = ACTION_VERSION;
		return 0;
	case KEY_HELP:
		p->help = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_argument(p, arg, state);
	case ARGP_KEY_END:
		if (state->quoted && !o->command)
			return refuse(p, "--: no command behind it, expected -- CMD [ARG...]");
		return 0;
	case ARGP_KEY_ERROR:
		return p->reported ? EINVAL : refuse_option(p, state);
	default:
		return set_option(p, key, arg);
	}
}

static error_t check_words(struct parse *p)
{
	const struct options *o = &p->o;
	int printed = o->schema + o->defaults;

	if (o->json && o->action != ACTION_PROBE)
		return refuse(p, "--json is for probe; lines as JSON: --stdout=json");
	if (o->force && o->action != ACTION_UNPIN)
		return refuse(p, "--force is for unpin");
	if (o->registered && (o->action != ACTION_PROBE || o->json))
		return refuse(p, "--registered is for probe, without --json");
	if (o->action != ACTION_CHECK_CONFIG && (o->effective || printed))
		return refuse(p, "--%s is for check-config",
			      o->effective ? "effective"
			      : o->schema  ? "schema"
					   : "defaults");
	if (o->action != ACTION_CHECK_CONFIG)
		return 0;
	if (!o->check_file && !printed)
		return refuse(p, "check-config: expected a file behind it");
	if (printed > 1 || (printed && (o->check_file || o->effective)))
		return refuse(p, "check-config: --%s stands alone",
			      o->schema ? "schema" : "defaults");
	return 0;
}

static error_t refuse_nowhere(struct parse *p)
{
	if (p->word || p->o.command || p->o.pid)
		return refuse(p, "nowhere to send the lines: add --stdout, or --loki URL, or "
				 "a file with clients");
	return refuse(p, "nothing to do; try `notail --stdout' to see what the containers of this "
			 "host write, or `notail --loki http://localhost:3100' to push it to Loki "
			 "(notail --help says more)");
}

/* Not what somebody looks at on a terminal: that listens only when it is told to. */
static bool is_service(const struct options *o)
{
	return !o->to_stdout && !o->command && !o->pid;
}

/* What is looked at, and what is over with a command, leaves nothing behind. */
static error_t choose_pins(struct parse *p)
{
	struct options *o = &p->o;

	o->given.pins = o->pins;
	o->may_pin = p->word && o->action == ACTION_RUN && is_service(o);
	if ((o->pins || o->detach_on_exit) && o->action != ACTION_UNPIN && !o->may_pin)
		return refuse(p, "--%s is for `notail run' and what it sends to Loki",
			      o->pins ? "pins" : "detach-on-exit");
	if (!o->pins)
		o->pins = CAPTURE_PINS;
	if (!values__pins(o->pins) || (o->action == ACTION_RUN && !o->may_pin))
		o->pins = NULL;
	return 0;
}

/* What captures nothing selects nothing. */
static error_t check_events(struct parse *p)
{
	struct options *o = &p->o;

	if (o->to_stdout || o->command || o->pid || o->n_containers || o->n_labels ||
	    o->n_streams || o->n_cgroups || o->rate_limit || o->exec_sessions || o->docker_host)
		return refuse(p, "events captures nothing, and pushes to Loki: expected -c FILE or "
				 "--loki URL alone");
	if (!o->config && !access(CONFIG_DEFAULT_PATH, F_OK))
		o->config = CONFIG_DEFAULT_PATH;
	return o->loki_url || o->config ? 0 : refuse_nowhere(p);
}

/* What no single option can be blamed for. */
static error_t check(struct parse *p)
{
	struct options *o = &p->o;
	error_t err = check_words(p);

	if (!err)
		err = choose_pins(p);
	if (!o->config && !o->loki_url && !access(CONFIG_DEFAULT_PATH, F_OK) &&
	    (o->action == ACTION_CHECK_LOKI || o->action == ACTION_SUPPORT_BUNDLE))
		o->config = CONFIG_DEFAULT_PATH;
	if (o->action == ACTION_CHECK_LOKI && !o->config && !o->loki_url)
		return refuse(p, "check-loki: expected a URL behind it, or -c FILE");
	if (!err && o->action == ACTION_EVENTS)
		return check_events(p);
	if (err || o->action != ACTION_RUN)
		return err;
	if (o->command && o->pid)
		return refuse(p, "--pid and -- %s exclude each other: leave one of them out",
			      o->command[0]);
	if (p->word && (o->command || o->pid))
		return refuse(p, "run captures containers: leave it out with --pid or -- CMD");
	if ((o->rate_limit || o->exec_sessions) && (o->command || o->pid))
		return refuse(p, "--%s is for containers: leave it out with --pid or -- CMD",
			      o->rate_limit ? "rate-limit" : "exec-sessions");
	if (o->n_cgroups && (o->command || o->pid))
		return refuse(p, "--cgroup is for what runs besides: leave it out with --pid or -- "
				 "CMD");
	if (o->docker_host && o->no_docker)
		return refuse(p,
			      "--docker and --no-docker exclude each other: leave one of them out");
	/* A service's; what is typed to look at lines shows them as they are. */
	if (!o->config && (p->word || o->loki_url) && !o->to_stdout && !o->command && !o->pid &&
	    !access(CONFIG_DEFAULT_PATH, F_OK))
		o->config = CONFIG_DEFAULT_PATH;
	if (o->tenant && !o->loki_url && !o->config)
		return refuse(p, "--tenant needs --loki URL, or -c FILE");
	if (o->inspect && (!o->to_stdout || !o->config))
		return refuse(p, "--inspect shows what a file's stages do: it needs --stdout and "
				 "-c FILE");
	o->service = is_service(o) && p->word && !strcmp(p->word, "run");
	if (!o->given.listen && is_service(o))
		o->listen = SERVER_DEFAULT_LISTEN;
	return o->to_stdout || o->loki_url || o->config ? 0 : refuse_nowhere(p);
}

int options__parse(struct options *ret, int argc, char **argv)
{
	struct parse p = {.o = {.format = BATCH_TEXT, .log_level = LOG_INFO, .seccomp = FILTER_ON}};
	error_t err;

	err = argp_parse(&ARGP, argc, argv,
			 ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, &p);
	if (!err && p.help)
		argp_help(&ARGP, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC,
			  (char[]){"notail"});
	else if (!err)
		err = check(&p);
	if (!err && !p.help) {
		*ret = p.o;
		return 0;
	}
	options__free(&p.o);
	return err == ENOMEM ? -ENOMEM : err ? -EINVAL : 1;
}

void options__free(struct options *o)
{
	if (!o)
		return;
	free(o->containers);
	free(o->cgroups);
	free(o->labels);
	free(o->streams);
	if (o->secret_url)
		explicit_bzero(o->secret_url, strlen(o->secret_url));
	free(o->secret_url);
	*o = (struct options){0};
}

/* The command line's list comes first, and alone. */
static int take_list(const char ***list, size_t *n, const struct string_list *from)
{
	const char **copy;

	if (*n || !from->n)
		return 0;
	copy = reallocarray(NULL, from->n, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, from->items, from->n * sizeof(*copy));
	*list = copy;
	*n = from->n;
	return 0;
}

static int apply_capture(struct options *o, const struct config_capture *c)
{
	bool containers = !o->command && !o->pid;
	int err = 0;

	if (!o->given.tap)
		o->tap = (enum tap_mode)c->tap;
	if (!o->given.hooks)
		o->hooks = (enum hook_set)c->hooks;
	if (!o->given.attribution)
		o->attribution = (enum attribution)c->attribution;
	if (!o->ring_bytes)
		o->ring_bytes = c->ring_size;
	if (!o->max_line_size)
		o->max_line_size = c->max_line_size;
	o->orphan_timeout_ns = c->orphan_timeout;
	if (o->may_pin && !o->given.pins && c->pins)
		o->pins = values__pins(c->pins) ? c->pins : NULL;
	o->detach_on_exit = o->detach_on_exit || (o->may_pin && c->detach_on_exit);
	if (!containers)
		return 0;
	if (!o->rate_limit) {
		o->rate_limit = c->rate_limit;
		o->rate_burst = c->rate_burst;
	}
	o->exec_sessions = o->exec_sessions || c->exec_sessions;
	err = take_list(&o->containers, &o->n_containers, &c->containers);
	if (!err)
		err = take_list(&o->labels, &o->n_labels, &c->labels);
	if (!err)
		err = take_list(&o->streams, &o->n_streams, &c->streams);
	if (!err)
		err = take_list(&o->cgroups, &o->n_cgroups, &c->cgroups);
	return err;
}

static void apply_server(struct options *o, const struct config_server *c)
{
	o->server = c;
	o->runtime_reload = c->enable_runtime_reload;
	o->metrics_listen = c->metrics_listen;
	/* The run of the same file has the other one. */
	if (o->given.listen || o->action == ACTION_EVENTS)
		return;
	/* The service of the same file may have it already. */
	o->must_listen = is_service(o) && c->listen_given;
	o->listen = is_service(o) || c->listen_given ? c->listen : NULL;
}

int options__apply(struct options *o, const struct config *c)
{
	int err = apply_capture(o, &c->capture);

	if (err)
		return err;
	apply_server(o, &c->server);
	if (!o->loki_url && !o->to_stdout && c->clients.n)
		o->clients = &c->clients;
	if (!o->docker_host && !o->no_docker) {
		o->docker_host = c->discovery.docker.host;
		o->no_docker = !c->discovery.docker.enabled;
	}
	if (!o->host)
		o->host = c->host;
	if (!o->given.log_level)
		o->log_level = (enum log_level)c->log.level;
	o->seccomp = c->security.seccomp;
	o->canary_interval_ns = o->to_stdout ? 0 : c->canary.interval;
	if (!o->given.log_format)
		o->log_format = (enum log_format)c->log.format;
	o->park_max_ns = c->discovery.max_wait;
	o->max_in_flight = c->limits.memory;
	o->spool = &c->spool;
	if (!o->shutdown_ns)
		o->shutdown_ns = c->shutdown_timeout;
	if (!o->spool_directory && o->service)
		o->spool_directory = c->spool.directory ? c->spool.directory : SPOOL_OFF;
	if (o->loki_url || o->to_stdout || o->clients)
		return 0;
	fprintf(stderr,
		"notail: nowhere to send the lines: %s has no clients, add some, or --stdout, or "
		"--loki URL\n",
		o->config);
	return -EINVAL;
}
