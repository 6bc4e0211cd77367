/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and stages are compiled and thrown away: what compiles here compiles when notail runs. */
#include "config/check.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "config/options.h"
#include "config/print.h"
#include "process/program.h"
#include "process/relabel.h"
#include "process/stage.h"

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

int check__jobs(const struct config *c, struct diag *diag)
{
	const struct config_job *jobs = c->jobs.items;
	bool wrong = false;

	for (size_t i = 0; i < c->jobs.n; i++) {
		int err = check_job(&jobs[i], diag);

		if (err && err != -EINVAL)
			return err;
		wrong = wrong || err;
	}
	return wrong ? -EINVAL : 0;
}

int check__load(struct config **ret, const char *path, struct diag *diag)
{
	return config__load(ret, path, check__jobs, diag);
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
	for (size_t i = 0; i < n; i++)
		stages[i] = &stage_types[i]->options;
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
