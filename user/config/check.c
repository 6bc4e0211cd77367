/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and stages are compiled and thrown away: what compiles here compiles when notail runs.
 * Files that are named are opened, not read.
 */
#include "config/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "config/options.h"
#include "config/print.h"
#include "process/program.h"
#include "process/relabel.h"
#include "process/stage.h"

#define FILE_MAX_BYTES (16u << 20)
#define SECRET_MAX_BYTES (64u << 10)

static void drop_line(void *ctx, struct label_set *set, const struct line *line)
{
	(void)ctx;
	(void)set;
	(void)line;
}

static int check_job(const struct config_job *job, struct diag *diag)
{
	const struct program_opts opts = {.line = drop_line};
	struct relabel *relabel = NULL;
	struct program *program = NULL;
	int err = relabel__new(&relabel, job->relabel_configs.items, job->relabel_configs.n, diag);
	int stages_err = 0;

	if (err != -ENOMEM)
		stages_err = program__new(&program, job->pipeline_stages, &opts, diag);
	relabel__free(relabel);
	program__free(program);
	return err ? err : stages_err;
}

static int check_jobs(const struct config *c, struct diag *diag)
{
	const struct config_job *jobs = c->jobs.items;
	const struct config_job events = {
		.relabel_configs = c->events.relabel_configs,
		.pipeline_stages = c->events.pipeline_stages,
	};
	bool wrong = false;
	int err;

	for (size_t i = 0; i < c->jobs.n; i++) {
		err = check_job(&jobs[i], diag);
		if (err && err != -EINVAL)
			return err;
		wrong = wrong || err;
	}
	err = check_job(&events, diag);
	return err ? err : wrong ? -EINVAL : 0;
}

static void check_file(const struct node *at, const char *path, size_t max_bytes, struct diag *diag)
{
	_close_ int fd = -1;
	struct stat st;

	if (!path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		diag__error(diag, at, "%s: %s, expected a file that can be read", path,
			    strerror(errno));
	else if (!S_ISREG(st.st_mode))
		diag__error(diag, at, "%s is no file, expected one", path);
	else if (!st.st_size || (size_t)st.st_size > max_bytes)
		diag__error(diag, at, "%s has %lld bytes, expected 1 to %zu", path,
			    (long long)st.st_size, max_bytes);
}

static void check_tls_files(const struct config_tls *t, struct diag *diag)
{
	check_file(node__get(t->node, "ca_file"), t->ca_file, FILE_MAX_BYTES, diag);
	check_file(node__get(t->node, "cert_file"), t->cert_file, FILE_MAX_BYTES, diag);
	check_file(node__get(t->node, "key_file"), t->key_file, FILE_MAX_BYTES, diag);
}

static void check_server_files(const struct config_server *s, struct diag *diag)
{
	const struct config_server_tls *t = &s->http_tls_config;
	const struct config_basic_auth *a = &s->basic_auth;

	check_file(node__get(t->node, "cert_file"), t->cert_file, FILE_MAX_BYTES, diag);
	check_file(node__get(t->node, "key_file"), t->key_file, FILE_MAX_BYTES, diag);
	check_file(node__get(t->node, "client_ca_file"), t->client_ca_file, FILE_MAX_BYTES, diag);
	check_file(node__get(a->node, "username_file"), a->username_file, SECRET_MAX_BYTES, diag);
	check_file(node__get(a->node, "password_file"), a->password_file, SECRET_MAX_BYTES, diag);
}

static void check_files(const struct config *c, struct diag *diag)
{
	const struct config_client *clients = c->clients.items;

	for (size_t i = 0; i < c->clients.n; i++) {
		const struct config_client *client = &clients[i];

		check_file(node__get(client->basic_auth.node, "username_file"),
			   client->basic_auth.username_file, SECRET_MAX_BYTES, diag);
		check_file(node__get(client->basic_auth.node, "password_file"),
			   client->basic_auth.password_file, SECRET_MAX_BYTES, diag);
		check_file(node__get(client->node, "bearer_token_file"), client->bearer_token_file,
			   SECRET_MAX_BYTES, diag);
		check_file(node__get(client->authorization.node, "credentials_file"),
			   client->authorization.credentials_file, SECRET_MAX_BYTES, diag);
		check_file(node__get(client->oauth2.node, "client_secret_file"),
			   client->oauth2.client_secret_file, SECRET_MAX_BYTES, diag);
		check_tls_files(&client->oauth2.tls_config, diag);
		check_tls_files(&client->tls_config, diag);
	}
	check_tls_files(&c->discovery.docker.tls_config, diag);
	check_tls_files(&c->discovery.kubernetes.tls_config, diag);
	check_tls_files(&c->discovery.kubernetes.kubelet_tls_config, diag);
	check_file(node__get(c->discovery.kubernetes.node, "token_file"),
		   c->discovery.kubernetes.token_file, SECRET_MAX_BYTES, diag);
	check_server_files(&c->server, diag);
}

int check__all(const struct config *c, struct diag *diag)
{
	check_files(c, diag);
	return check_jobs(c, diag);
}

int check__load(struct config **ret, const char *path, struct diag *diag)
{
	return config__load(ret, path, check__all, diag);
}

int check__print_schema(FILE *out)
{
	const struct field **stages;
	size_t n = 0;
	int err;

	while (stage_types[n])
		n++;
	stages = calloc(n + 1, sizeof(*stages));
	if (!stages)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; stage_types[i]; i++)
		if (!stage_types[i]->refused)
			stages[n++] = &stage_types[i]->options;
	err = print__json_schema(&config_schema, stages, out);
	free(stages);
	return err;
}

int check__print_defaults(FILE *out)
{
	return print__default_file(&config_schema, out);
}

int check__config(const struct options *o)
{
	struct config *c = NULL;
	struct diag *diag;
	int err;

	if (o->schema)
		return check__print_schema(stdout);
	if (o->defaults)
		return check__print_defaults(stdout);
	err = diag__new(&diag, o->check_file);
	if (err)
		return err;
	err = check__load(&c, o->check_file, diag);
	diag__print(diag, stderr);
	if (!err && o->effective)
		err = config__print(c, stdout);
	else if (!err)
		printf("%s: valid\n", o->check_file);
	diag__free(diag);
	config__free(c);
	return err;
}
