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
#include "config/options_internal.h"
#include "config/values.h"
#include "io/http.h"
#include "io/httpd.h"
#include "security/filter.h"
#include "spool/spool.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static error_t options__on_key(int key, char *arg, struct argp_state *state);

static const struct argp ARGP = {
	.options = options_table,
	.parser = options__on_key,
	.args_doc = options_args_doc,
	.doc = options_doc,
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

	for (const struct argp_option *o = options_table; o->name || o->doc; o++) {
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

bool options__is_service(const struct options *o)
{
	return !o->to_stdout && !o->command && !o->pid;
}

/* What is looked at, and what is over with a command, leaves nothing behind. */
static error_t choose_pins(struct parse *p)
{
	struct options *o = &p->o;

	o->given.pins = o->pins;
	o->may_pin = p->word && o->action == ACTION_RUN && options__is_service(o);
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
	o->service = options__is_service(o) && p->word && !strcmp(p->word, "run");
	if (!o->given.listen && options__is_service(o))
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
