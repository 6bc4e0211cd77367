/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each part is made in memory first, for a tar file says how long it is before its bytes. The file
 * is the reader's alone (0600), and is not written over another.
 */
#include "support_bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ustar.h"
#include "capture/probe.h"
#include "config/check.h"
#include "config/values.h"
#include "io/http.h"
#include "io/loop.h"
#include "sink/auth.h"

#define MAX_FILE (64u << 10)
#define MAX_ANSWER ((size_t)64 << 20)
#define TIMEOUT_NS (10 * NS_PER_SEC)

struct bundle {
	const struct options *opts;
	container_name_fn container_name;
	struct config *config; /* NULL: none */
	char *why_no_config;
	FILE *out;
	uint64_t now_s;
	int err;
};

static void add(struct bundle *b, const char *name, const char *data, size_t len)
{
	char path[96];

	snprintf(path, sizeof(path), "notail-support/%s", name);
	if (!b->err)
		b->err = ustar__add(b->out, path, data, len, b->now_s);
}

/* What fn prints, and -errno where it could not. */
static void add_printed(struct bundle *b, const char *name, int (*fn)(struct bundle *b, FILE *out))
{
	_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int err = out ? fn(b, out) : -ENOMEM;

	if (out && err)
		fprintf(out, "%s\n", strerror(-err));
	if (out && fclose(out))
		err = -ENOMEM;
	if (text)
		add(b, name, text, len);
	else
		b->err = -ENOMEM;
}

static int print_version(struct bundle *b, FILE *out)
{
	struct utsname u = {0};
	char time[RFC3339_LEN];

	clock__rfc3339(clock__real_ns(), time);
	uname(&u);
	fprintf(out, "notail " NOTAIL_VERSION "\n%s %s %s %s\n%.*s\n%s\n", u.sysname, u.release,
		u.version, u.machine, RFC3339_LEN, time,
		b->opts->config ? b->opts->config : "no configuration file");
	return 0;
}

static int print_probe(struct bundle *b, FILE *out)
{
	(void)b;
	return probe__print(out, false);
}

static int print_config(struct bundle *b, FILE *out)
{
	if (b->config)
		return config__print(b->config, out);
	fputs(b->why_no_config ? b->why_no_config : "there is none\n", out);
	return 0;
}

static int print_registered(struct bundle *b, FILE *out)
{
	return registered__print(out, b->container_name);
}

static void add_file(struct bundle *b, const char *name, const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_free_ char *text = malloc(MAX_FILE);
	size_t len = 0;
	ssize_t n = 1;

	while (text && fd >= 0 && n > 0 && len < MAX_FILE) {
		n = read(fd, text + len, MAX_FILE - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (text && len)
		add(b, name, text, len);
}

/* The status server */

struct fetch {
	struct loop *loop;
	struct bundle *bundle;
	const char *name;
};

static void on_answer(void *ctx, const struct http_answer *a)
{
	struct fetch *f = ctx;
	_buf_ struct buf text = {0};

	if (a->error)
		buf__printf(&text, "%s\n", a->error_text);
	else if (a->status != 200)
		buf__printf(&text, "status %ld\n", a->status);
	if (!a->error && a->body_len)
		buf__append(&text, a->body, a->body_len);
	add(f->bundle, f->name, text.len ? text.data : "", text.len);
	loop__stop(f->loop);
}

static int fetch(struct fetch *f, struct http *http, const char *address, const char *path)
{
	const struct config_server *c = f->bundle->config ? &f->bundle->config->server : NULL;
	const bool is_tls = c && c->http_tls_config.cert_file;
	const struct http_tls tls = {.ca_file = is_tls ? c->http_tls_config.cert_file : NULL};
	const struct auth_opts user = {
		.username = c ? c->basic_auth.username : NULL,
		.username_file = c ? c->basic_auth.username_file : NULL,
		.password = c ? c->basic_auth.password : NULL,
		.password_file = c ? c->basic_auth.password_file : NULL,
	};
	const char *headers[] = {NULL, NULL};
	struct http_opts opts = {
		.tls = &tls,
		.headers = headers,
		.timeout_ns = TIMEOUT_NS,
		.max_body = MAX_ANSWER,
		.proxy = "",
		.done = on_answer,
		.ctx = f,
	};
	struct http_request *request;
	struct auth *auth = NULL;
	char url[256];
	int err = auth__new(&auth, &user);

	snprintf(url, sizeof(url), "http%s://%s%s", is_tls ? "s" : "", address, path);
	opts.url = url;
	if (!err && auth)
		err = auth__header(auth, &headers[0]);
	if (!err)
		err = http__request(http, &opts, &request);
	if (!err)
		err = loop__run(f->loop);
	auth__free(auth);
	return err;
}

static void add_running(struct bundle *b)
{
	static const struct {
		const char *path, *name;
	} PARTS[] = {
		{"/ready", "running/ready.txt"},
		{"/metrics", "running/metrics.txt"},
		{"/config", "running/config.yaml"},
		{"/targets", "running/targets.json"},
	};
	const char *address = b->opts->given.listen ? b->opts->listen
			      : b->config	    ? b->config->server.listen
						    : SERVER_DEFAULT_LISTEN;
	struct fetch f = {.bundle = b};
	struct http *http = NULL;
	int err;

	if (!values__listens(address))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(PARTS) && !b->err; i++) {
		f.name = PARTS[i].name;
		err = loop__new(&f.loop);
		if (!err)
			err = http__new(&http, f.loop);
		if (!err)
			err = fetch(&f, http, address, PARTS[i].path);
		if (err)
			add(b, f.name, strerror(-err), strlen(strerror(-err)));
		http__free(TAKE_PTR(http));
		loop__free(TAKE_PTR(f.loop));
	}
}

/* What is wrong with it is told in its place: there may be secrets in it. */
static void load_config(struct bundle *b)
{
	struct diag *diag;
	size_t len;
	FILE *out;

	if (!b->opts->config || diag__new(&diag, b->opts->config))
		return;
	if (check__load(&b->config, b->opts->config, diag)) {
		out = open_memstream(&b->why_no_config, &len);
		if (out) {
			diag__print(diag, out);
			fclose(out);
		}
	}
	diag__free(diag);
}

static FILE *create(const struct options *o, char path[256])
{
	struct utsname u = {0};
	char time[RFC3339_LEN];
	FILE *out = NULL;
	int fd;

	clock__rfc3339(clock__real_ns(), time);
	uname(&u);
	if (o->bundle)
		snprintf(path, 256, "%s", o->bundle);
	else
		snprintf(path, 256, "notail-support-%s-%.10sT%.2s%.2s%.2sZ.tar", u.nodename, time,
			 time + 11, time + 14, time + 17);
	if (!strcmp(path, "-"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (!out)
		fprintf(stderr, "notail: %s: %s\n", path, strerror(errno));
	if (!out && fd >= 0)
		close(fd);
	return out;
}

int support_bundle(const struct options *o, container_name_fn container_name)
{
	struct bundle b = {.opts = o,
			   .container_name = container_name,
			   .now_s = clock__real_ns() / NS_PER_SEC};
	char path[256];

	b.out = create(o, path);
	if (!b.out)
		return -EIO;
	load_config(&b);
	add_printed(&b, "version.txt", print_version);
	add_printed(&b, "probe.txt", print_probe);
	add_printed(&b, "config.yaml", print_config);
	add_printed(&b, "registered.txt", print_registered);
	add_file(&b, "os-release.txt", "/etc/os-release");
	add_running(&b);
	if (!b.err)
		b.err = ustar__end(b.out);
	if (fclose(b.out) && !b.err)
		b.err = -EIO;
	if (b.err)
		fprintf(stderr, "notail: %s: %s\n", path, strerror(-b.err));
	else
		fprintf(strcmp(path, "-") ? stdout : stderr,
			"%s: look into it before you give it away: names and labels of containers "
			"are in it, no log lines\n",
			path);
	config__free(b.config);
	free(b.why_no_config);
	return b.err;
}
