/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/config.h"
#include "config/config.h"
#include "config/options.h"

#define MAX_ARGS 32

/* What goes to `fd` lands in a file between these two. */
static FILE *catch_begin(int fd, int *ret_saved)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	fflush(NULL);
	*ret_saved = dup(fd);
	dup2(fileno(file), fd);
	return file;
}

static void catch_end(int fd, int saved, FILE *file, char *text, size_t size)
{
	ssize_t n;

	fflush(NULL);
	dup2(saved, fd);
	close(saved);
	n = pread(fileno(file), text, size - 1, 0);
	text[n > 0 ? n : 0] = 0;
	fclose(file);
}

static char err_text[4096];

/* The words of `line`, split at blanks; the options point into them. */
static int parse(struct options *o, const char *line)
{
	static char words[512];
	static char *argv[MAX_ARGS];
	int argc = 0, saved, ret;
	FILE *file;

	snprintf(words, sizeof(words), "notail %s", line);
	for (char *p = strtok(words, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
	file = catch_begin(STDERR_FILENO, &saved);
	ret = options__parse(o, argc, argv);
	catch_end(STDERR_FILENO, saved, file, err_text, sizeof(err_text));
	return ret;
}

static void assert_parses(struct options *o, const char *line)
{
	if (parse(o, line))
		fail_msg("refused: %s: %s", line, err_text);
	assert_string_equal(err_text, "");
}

static void test_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "--stdout");
	assert_int_equal(o.action, ACTION_RUN);
	assert_true(o.to_stdout);
	assert_int_equal(o.format, BATCH_TEXT);
	assert_int_equal(o.log_level, LOG_INFO);
	assert_int_equal(o.tap, TAP_AUTO);
	assert_int_equal(o.hooks, HOOKS_AUTO);
	assert_int_equal(o.attribution, ATTRIBUTION_STREAM);
	assert_int_equal(o.rate_limit + o.rate_burst, 0);
	assert_false(o.exec_sessions);
	assert_null(o.loki_url);
	assert_null(o.command);
	assert_null(o.docker_host);
	assert_null(o.host);
	assert_int_equal(o.pid, 0);
	assert_int_equal(o.ring_bytes + o.max_line_size + o.batch_bytes + o.batch_wait_ns, 0);
	assert_false(o.times || o.stats || o.no_docker);
	options__free(&o);
	options__free(&o);
	options__free(NULL);
}

static void test_everything(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "run --loki https://u:p@loki:3100 --tenant a --host h --stats -t "
			  "--docker tcp://10.0.0.1:2375 --log-level debug --tap write "
			  "--exec-sessions --attribution off --rate-limit 1MiB/s:10M "
			  "--cgroup /system.slice/a.service --cgroup=/lxc.payload.*");
	assert_string_equal(o.loki_url, "https://u:p@loki:3100");
	assert_non_null(o.secret_url); /* argv has another */
	assert_string_equal(o.tenant, "a");
	assert_string_equal(o.host, "h");
	assert_string_equal(o.docker_host, "tcp://10.0.0.1:2375");
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_int_equal(o.tap, TAP_WRITE);
	assert_int_equal(o.attribution, ATTRIBUTION_OFF);
	assert_int_equal(o.rate_limit, 1 << 20);
	assert_int_equal(o.rate_burst, 10 << 20);
	assert_true(o.exec_sessions);
	assert_true(o.stats && o.times && !o.to_stdout);
	assert_int_equal(o.n_cgroups, 2);
	assert_string_equal(o.cgroups[0], "/system.slice/a.service");
	assert_string_equal(o.cgroups[1], "/lxc.payload.*");
	options__free(&o);

	assert_parses(&o, "--stdout=raw --container web* --container=db --label a=b=c --label d= "
			  "--stream stdout --stream stderr --pid 12 --no-docker --hooks multi");
	assert_int_equal(o.n_containers, 2);
	assert_string_equal(o.containers[0], "web*");
	assert_string_equal(o.containers[1], "db");
	assert_int_equal(o.n_labels, 2);
	assert_string_equal(o.labels[0], "a=b=c");
	assert_string_equal(o.labels[1], "d=");
	assert_int_equal(o.n_streams, 2);
	assert_string_equal(o.streams[1], "stderr");
	assert_int_equal(o.pid, 12);
	assert_int_equal(o.hooks, HOOKS_MULTI);
	assert_int_equal(o.format, BATCH_RAW);
	assert_true(o.no_docker);
	options__free(&o);
}

static void test_formats(void **state)
{
	static const struct {
		const char *line;
		enum batch_encoding format;
	} cases[] = {
		{"--stdout=text", BATCH_TEXT},
		{"--stdout=json", BATCH_JSON},
		{"--stdout=logfmt", BATCH_LOGFMT},
		{"--stdout=raw", BATCH_RAW},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_parses(&o, cases[i].line);
		assert_int_equal(o.format, cases[i].format);
		options__free(&o);
	}
}

static void test_sizes_and_times(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "--stdout --ring-size 64MiB --max-line-size 100 --batchsize 512k "
			  "--batchwait 500ms");
	assert_int_equal(o.ring_bytes, 64 << 20);
	assert_int_equal(o.max_line_size, 100);
	assert_int_equal(o.batch_bytes, 512 << 10);
	assert_int_equal(o.batch_wait_ns, 500 * NS_PER_MS);
	options__free(&o);
	assert_parses(&o, "--stdout --ring-size 1G --max-line-size 2K --batchsize 3M "
			  "--batchwait 2m");
	assert_int_equal(o.ring_bytes, 1 << 30);
	assert_int_equal(o.max_line_size, 2 << 10);
	assert_int_equal(o.batch_bytes, 3 << 20);
	assert_int_equal(o.batch_wait_ns, 120 * NS_PER_SEC);
	options__free(&o);
	assert_parses(&o, "--stdout --ring-size 1048576 --max-line-size 1KiB --batchwait 1s");
	assert_int_equal(o.ring_bytes, 1 << 20);
	assert_int_equal(o.batch_wait_ns, NS_PER_SEC);
	options__free(&o);
}

static void test_command(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "--stdout -- sh --help -- --loki");
	assert_string_equal(o.command[0], "sh");
	assert_string_equal(o.command[1], "--help");
	assert_string_equal(o.command[2], "--");
	assert_string_equal(o.command[3], "--loki");
	assert_null(o.command[4]);
	assert_null(o.loki_url);
	options__free(&o);
	/* Words of notail's own mean nothing there. */
	assert_parses(&o, "--stdout -- probe");
	assert_int_equal(o.action, ACTION_RUN);
	assert_string_equal(o.command[0], "probe");
	options__free(&o);
}

static void test_actions(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "probe");
	assert_int_equal(o.action, ACTION_PROBE);
	assert_false(o.json);
	options__free(&o);
	assert_parses(&o, "probe --json");
	assert_int_equal(o.action, ACTION_PROBE);
	assert_true(o.json);
	options__free(&o);
	assert_parses(&o, "probe --registered");
	assert_true(o.registered);
	options__free(&o);
	assert_parses(&o, "--stdout -c a.yaml --inspect");
	assert_true(o.inspect);
	options__free(&o);
	assert_parses(&o, "version");
	assert_int_equal(o.action, ACTION_VERSION);
	options__free(&o);
	assert_parses(&o, "--version");
	assert_int_equal(o.action, ACTION_VERSION);
	options__free(&o);
	assert_parses(&o, "check-config a.yaml");
	assert_int_equal(o.action, ACTION_CHECK_CONFIG);
	assert_string_equal(o.check_file, "a.yaml");
	assert_false(o.effective || o.schema || o.defaults);
	options__free(&o);
	assert_parses(&o, "check-config --effective a.yaml");
	assert_true(o.effective);
	options__free(&o);
	assert_parses(&o, "check-config --schema");
	assert_null(o.check_file);
	assert_true(o.schema);
	options__free(&o);
}

/* Where lines are pushed it listens, where somebody looks at them only when told to. */
static void test_listen(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "--loki http://a");
	assert_string_equal(o.listen, "127.0.0.1:9464");
	assert_false(o.must_listen);
	options__free(&o);
	assert_parses(&o, "--stdout");
	assert_null(o.listen);
	options__free(&o);
	assert_parses(&o, "--stdout --listen [::1]:0");
	assert_string_equal(o.listen, "[::1]:0");
	assert_true(o.must_listen);
	options__free(&o);
	assert_parses(&o, "--loki http://a --listen off");
	assert_string_equal(o.listen, "off");
	options__free(&o);
}

static void listen_of(const char *line, const char *yaml, const char *listen, bool must)
{
	struct config *config = NULL;
	struct options o;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag), 0);
	assert_parses(&o, line);
	assert_int_equal(options__apply(&o, config), 0);
	if (listen)
		assert_string_equal(o.listen, listen);
	else
		assert_null(o.listen);
	assert_int_equal(o.must_listen, must);
	options__free(&o);
	config__free(config);
	diag__free(diag);
}

static void test_listen_of_files(void **state)
{
	(void)state;
	listen_of("run --loki http://a -c f", "", "127.0.0.1:9464", false);
	listen_of("run --loki http://a -c f", "server: {listen: '127.0.0.1:1'}", "127.0.0.1:1",
		  true);
	listen_of("run --loki http://a -c f", "server: {http_listen_port: 80}", "127.0.0.1:80",
		  true);
	listen_of("run --loki http://a -c f",
		  "server: {http_listen_port: 80, http_listen_address: 0.0.0.0}", "0.0.0.0:80",
		  true);
	listen_of("run --loki http://a -c f", "server: {http_listen_address: '[::1]'}",
		  "[::1]:9464", true);
	listen_of("run --loki http://a -c f", "server: {http_listen_port: 80, disable: true}",
		  "off", true);
	listen_of("run --loki http://a -c f --listen off", "server: {http_listen_port: 80}", "off",
		  true);
	listen_of("--stdout -c f", "", NULL, false);
	listen_of("events --loki http://a -c f", "server: {listen: '127.0.0.1:1'}", NULL, false);
	listen_of("events --loki http://a -c f --listen 127.0.0.1:2", "", "127.0.0.1:2", true);
	listen_of("--stdout -c f", "server: {listen: '127.0.0.1:1'}", "127.0.0.1:1", false);
}

static void pins_of(const char *line, const char *yaml, const char *pins)
{
	struct config *config = NULL;
	struct options o;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag), 0);
	assert_parses(&o, line);
	if (o.action == ACTION_RUN)
		assert_int_equal(options__apply(&o, config), 0);
	if (pins)
		assert_string_equal(o.pins, pins);
	else
		assert_null(o.pins);
	options__free(&o);
	config__free(config);
	diag__free(diag);
}

/* Only a service leaves something behind. */
static void test_pins(void **state)
{
	(void)state;
	pins_of("run --loki http://a -c f", "", CAPTURE_PINS);
	pins_of("run --loki http://a -c f", "capture: {pins: /sys/fs/bpf/x}", "/sys/fs/bpf/x");
	pins_of("run --loki http://a -c f", "capture: {pins: 'off'}", NULL);
	pins_of("run --loki http://a -c f --pins /sys/fs/bpf/y", "capture: {pins: /sys/fs/bpf/x}",
		"/sys/fs/bpf/y");
	pins_of("run --loki http://a -c f --pins off", "capture: {pins: /sys/fs/bpf/x}", NULL);
	pins_of("--loki http://a -c f", "capture: {pins: /sys/fs/bpf/x}", NULL);
	pins_of("--stdout -c f", "capture: {pins: /sys/fs/bpf/x}", NULL);
	pins_of("run --stdout -c f", "capture: {pins: /sys/fs/bpf/x}", NULL);
	pins_of("--stdout --pid 1 -c f", "", NULL);
	pins_of("unpin", "", CAPTURE_PINS);
	pins_of("unpin --force --pins /sys/fs/bpf/y", "", "/sys/fs/bpf/y");
}

static void test_files(void **state)
{
	struct options o;

	(void)state;
	assert_parses(&o, "-c a.yaml");
	assert_string_equal(o.config, "a.yaml");
	options__free(&o);
	assert_parses(&o, "run --config=b.yaml --tenant t");
	assert_string_equal(o.config, "b.yaml");
	options__free(&o);
	assert_parses(&o, "--stdout -c c.yaml --tap read --log-level info");
	assert_true(o.given.tap && o.given.log_level);
	assert_false(o.given.hooks || o.given.attribution);
	options__free(&o);
	/* What is typed to look at lines shows them as they are. */
	assert_parses(&o, "--stdout");
	assert_null(o.config);
	options__free(&o);
	assert_parses(&o, "--loki http://h --pid 1");
	assert_null(o.config);
	options__free(&o);
}

static const struct {
	const char *line;
	const char *says; /* behind "notail: " */
} refused[] = {
	{"", "nothing to do; try `notail --stdout'"},
	{"--stats", "nothing to do"},
	{"run", "nowhere to send the lines: add --stdout, or --loki URL"},
	{"-- ls", "nowhere to send the lines"},
	{"--pid 1", "nowhere to send the lines"},
	{"--stdout=xml", "--stdout=xml: unknown format, expected text, json, logfmt or raw"},
	{"--stdout json", "json: unknown command"},
	{"foo -- bar", "foo: unknown command"},
	{"run probe", "probe: unexpected after run"},
	{"events", "nowhere to send the lines"},
	{"events --stdout", "events captures nothing, and pushes to Loki"},
	{"events --loki http://a --container b", "events captures nothing"},
	{"events -c f -- ls", "events captures nothing"},
	{"events -c f --pins off", "--pins is for `notail run'"},
	{"--stdout --foo", "--foo: unknown option"},
	{"--stdout --foo=1", "--foo: unknown option"},
	{"--stdout -x", "-x: unknown option"},
	{"--loki", "--loki: needs a value"},
	{"--stats=1", "--stats: takes no value"},
	{"--stdout --", "--: no command behind it"},
	{"--loki loki:3100", "--loki=loki:3100: it does not begin with http:// or https://"},
	{"--loki http://:3100", "--loki=http://:3100: "},
	{"--loki ftp://u:secret@h", "--loki: it does not begin"},
	{"--stdout --tenant a", "--tenant needs --loki URL"},
	{"--stdout --config=", "--config: expected a file"},
	{"check-config", "check-config: expected a file behind it"},
	{"check-config a b", "b: unexpected after check-config"},
	{"check-config --schema a", "check-config: --schema stands alone"},
	{"check-config --schema --defaults", "check-config: --schema stands alone"},
	{"--stdout --inspect", "--inspect shows what a file's stages do: it needs --stdout and -c"},
	{"-c a.yaml --inspect", "--inspect shows what a file's stages do: it needs --stdout and"},
	{"--stdout --effective", "--effective is for check-config"},
	{"probe --defaults", "--defaults is for check-config"},
	{"--loki http://h --tenant=", "--tenant: expected a name"},
	{"--stdout --host=a\nb", "--host: expected a name"},
	{"--stdout --container=", "--container: expected a name"},
	{"--stdout --label a", "--label=a: expected NAME=VALUE"},
	{"--stdout --label =a", "--label==a: expected NAME=VALUE"},
	{"--stdout --stream tty", "--stream=tty: expected stdout or stderr"},
	{"--stdout --pid 0", "--pid=0: "},
	{"--stdout --pid -1", "--pid=-1: "},
	{"--stdout --pid 12x", "--pid=12x: "},
	{"--stdout --pid 99999999999", "--pid=99999999999: "},
	{"--stdout --pid 1 -- ls", "--pid and -- ls exclude each other"},
	{"run --stdout -- ls", "run captures containers"},
	{"--stdout --docker /var/run/docker.sock", "--docker=/var/run/docker.sock: expected"},
	{"--stdout --docker unix://a", "--docker=unix://a: expected"},
	{"--stdout --docker unix:///", "--docker=unix:///: expected"},
	{"--stdout --docker unix:///0123456789012345678901234567890123456789012345678901234567890"
	 "1234567890123456789012345678901234567890123456",
	 "--docker=unix:///0123456789"},
	{"--stdout --docker tcp://h", "--docker=tcp://h: expected"},
	{"--stdout --docker tcp://:1", "--docker=tcp://:1: expected"},
	{"--stdout --docker tcp://h:65536", "--docker=tcp://h:65536: expected"},
	{"--stdout --docker tcp://h:1 --no-docker", "--docker and --no-docker exclude each other"},
	{"--stdout --tap x", "--tap=x: unknown mode, expected auto, read or write"},
	{"--stdout --hooks x", "--hooks=x: unknown set, expected auto, fexit, multi or syscall"},
	{"--stdout --json", "--json is for probe; lines as JSON: --stdout=json"},
	{"--stdout --registered", "--registered is for probe, without --json"},
	{"probe --json --registered", "--registered is for probe, without --json"},
	{"--stdout --attribution x", "--attribution=x: unknown mode, expected stream, line or off"},
	{"--stdout --cgroup foo.service", "--cgroup=foo.service: expected a cgroup's path, like"},
	{"--stdout --cgroup /", "--cgroup=/: expected a cgroup's path"},
	{"--stdout --cgroup /sys/fs/cgroup/a", "--cgroup=/sys/fs/cgroup/a: expected the path from"},
	{"--stdout --cgroup /a -- ls", "--cgroup is for what runs besides"},
	{"--stdout --rate-limit 1MiB", "--rate-limit=1MiB: expected a size per second like"},
	{"--stdout --rate-limit /s", "--rate-limit=: no size"},
	{"--stdout --rate-limit 1023/s", "--rate-limit=1023: out of range, expected 1KiB/s to"},
	{"--stdout --rate-limit 2G/s", "--rate-limit=2G: out of range"},
	{"--stdout --rate-limit 1k/s:", "--rate-limit=: no size"},
	{"--stdout --rate-limit 1k/s:0", "--rate-limit=0: out of range, expected a burst from"},
	{"--stdout --rate-limit 1k/s -- ls", "--rate-limit is for containers"},
	{"--stdout --exec-sessions --pid 1", "--exec-sessions is for containers"},
	{"--stdout --log-level x", "--log-level=x: unknown level, expected error, warn, info or"},
	{"--stdout --ring-size 3M", "--ring-size=3M: expected a power of two from 1MiB to 1GiB"},
	{"--stdout --ring-size 512k", "--ring-size=512k: out of range, expected a power of two"},
	{"--stdout --ring-size 2G", "--ring-size=2G: out of range"},
	{"--stdout --ring-size 17179869185G", "--ring-size=17179869185G: out of range"},
	{"--stdout --ring-size 99999999999999999999", "--ring-size=99999999999999999999: out of"},
	{"--stdout --ring-size 1MB", "--ring-size=1MB: no size"},
	{"--stdout --ring-size -1", "--ring-size=-1: no size"},
	{"--stdout --batchsize=", "--batchsize=: no size"},
	{"--stdout --batchsize 0", "--batchsize=0: out of range"},
	{"--stdout --max-line-size 15", "--max-line-size=15: out of range"},
	{"--stdout --batchwait 5", "--batchwait=5: no time, expected one like 500ms or 1s"},
	{"--stdout --spool-dir var/spool",
	 "--spool-dir=var/spool: expected an absolute path, or off"},
	{"--stdout --listen 9464", "--listen=9464: expected ADDRESS:PORT such as 127.0.0.1:9464"},
	{"--stdout --listen a.example:80", "--listen=a.example:80: expected ADDRESS:PORT"},
	{"--stdout --batchwait 0s", "--batchwait=0s: out of range"},
	{"--stdout --batchwait 6m", "--batchwait=6m: out of range"},
	{"run --loki http://a --pins x", "--pins=x: expected a directory such as /sys/fs/bpf/"},
	{"run --loki http://a --pins /sys/fs/bpf/a.b", "--pins=/sys/fs/bpf/a.b: expected"},
	{"run --loki http://a --pins /a/", "--pins=/a/: expected a directory"},
	{"--loki http://a --pins /sys/fs/bpf/x", "--pins is for `notail run'"},
	{"run --stdout --pins /sys/fs/bpf/x", "--pins is for `notail run'"},
	{"--stdout --detach-on-exit", "--detach-on-exit is for `notail run'"},
	{"--stdout --force", "--force is for unpin"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct options o = {.pid = 77};

		if (!strcmp(refused[i].line, "run") && !access(CONFIG_DEFAULT_PATH, F_OK))
			continue;
		if (parse(&o, refused[i].line) != -EINVAL)
			fail_msg("not refused: %s", refused[i].line);
		if (strncmp(err_text, "notail: ", 8) ||
		    strncmp(err_text + 8, refused[i].says, strlen(refused[i].says)))
			fail_msg("%s: says: %s", refused[i].line, err_text);
		/* One line, and nothing written to the caller's struct. */
		assert_ptr_equal(strchr(err_text, '\n'), err_text + strlen(err_text) - 1);
		assert_int_equal(o.pid, 77);
		assert_null(strstr(err_text, "secret"));
	}
}

static void test_help(void **state)
{
	static const char *const wanted[] = {
		"--stdout[=FORMAT]", "--container=NAME", "--loki=URL", "--batchwait=TIME",
		"Examples:",	     "-- CMD",		 "probe",      "Exit status",
	};
	char text[8192];
	struct options o;
	int saved, ret;
	FILE *file = catch_begin(STDOUT_FILENO, &saved);

	(void)state;
	ret = parse(&o, "--help");
	catch_end(STDOUT_FILENO, saved, file, text, sizeof(text));
	assert_int_equal(ret, 1);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_non_null(strstr(text, wanted[i]));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_everything),
		cmocka_unit_test(test_formats),	 cmocka_unit_test(test_sizes_and_times),
		cmocka_unit_test(test_command),	 cmocka_unit_test(test_actions),
		cmocka_unit_test(test_files),	 cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_listen),	 cmocka_unit_test(test_listen_of_files),
		cmocka_unit_test(test_pins),	 cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
