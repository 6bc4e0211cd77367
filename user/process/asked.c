/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever may make a pod writes these, and is not who runs the agent: nothing here may cost others
 * their lines or their time. An expression begins at the line's beginning, sees its first bytes
 * alone and gives up early, so that the worst one costs a line some ten microseconds.
 */
#include "process/asked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/glob.h"
#include "base/hash.h"
#include "base/util.h"
#include "containers/pod.h"

#define KEY_MAX 384u
#define PATTERN_MAX 256u
#define MATCH_LIMIT 4000u
#define REGEX_MAX_BYTES (64u << 10)
#define TENANT_MAX 150u /* Loki's */

#define EXCLUDE "notail.io/exclude"
#define PRESET "notail.io/preset"
#define TENANT "notail.io/tenant"
#define MULTILINE "notail.io/multiline"
#define FLUENT_BIT "fluentbit.io/exclude"
#define VECTOR "vector.dev/exclude"
#define VECTOR_CONTAINERS "vector.dev/exclude-containers"

static const char *container_of(const struct meta *m)
{
	return meta__label(m, META_POD_CONTAINER_LABEL);
}

/* The pod's annotation, or a label of the container's own. */
static const char *value_of(const struct meta *m, const char *key)
{
	const char *value = m->pod ? pod__annotation(m->pod, key) : NULL;

	return value ? value : meta__label(m, key);
}

static const char *lookup(const struct meta *m, const char *key, const char *suffix)
{
	const char *container = container_of(m), *value;
	char text[KEY_MAX];

	if (container &&
	    snprintf(text, sizeof(text), "%s%s-%s", key, suffix, container) < (int)sizeof(text)) {
		value = value_of(m, text);
		if (value)
			return value;
	}
	snprintf(text, sizeof(text), "%s%s", key, suffix);
	return value_of(m, text);
}

static bool is_true(const char *value)
{
	return value && (!strcasecmp(value, "true") || !strcasecmp(value, "yes") ||
			 !strcasecmp(value, "on"));
}

static bool fluent_bit_excludes(const struct meta *m, enum line_stream stream)
{
	const char *value = lookup(m, FLUENT_BIT, stream == LINE_STDERR ? "_stderr" : "_stdout");

	return is_true(value ? value : lookup(m, FLUENT_BIT, ""));
}

/* `names`: a, b */
static bool names(const char *names, const char *name)
{
	while (names && name) {
		size_t len;

		names += strspn(names, " ,");
		len = strcspn(names, " ,");
		if (!len)
			return false;
		if (len == strlen(name) && !strncmp(names, name, len))
			return true;
		names += len;
	}
	return false;
}

const char *asked__excluded(const struct meta *m, enum line_stream stream)
{
	if (is_true(lookup(m, EXCLUDE, "")))
		return EXCLUDE;
	if (fluent_bit_excludes(m, stream))
		return FLUENT_BIT;
	if (is_true(value_of(m, VECTOR)) || (m->pod && is_true(pod__label(m->pod, VECTOR))))
		return VECTOR;
	return names(value_of(m, VECTOR_CONTAINERS), container_of(m)) ? VECTOR_CONTAINERS : NULL;
}

static void add_problem(struct asked *a, const char *key, const char *value, const char *why)
{
	a->problems[a->n_problems++] =
		(struct asked_problem){.key = key, .value = value, .why = why};
}

static void read_preset(const struct meta *m, struct asked *ret)
{
	const char *value = lookup(m, PRESET, "");

	if (!value)
		return;
	for (int i = 0; config_presets[i]; i++) {
		if (i != PRESET_NONE && !strcmp(config_presets[i], value)) {
			ret->preset = i;
			return;
		}
	}
	add_problem(ret, PRESET, value,
		    "expected auto, docker, kubernetes, alloy, promtail or strict");
}

/* https://grafana.com/docs/loki/latest/operations/multi-tenancy/ */
static const char *tenant_problem(const char *tenant, const struct string_list *allowed)
{
	static const char CHARACTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789!-_.*'()";
	size_t len = strlen(tenant);

	if (!len || len > TENANT_MAX || strspn(tenant, CHARACTERS) != len || !strcmp(tenant, ".") ||
	    !strcmp(tenant, ".."))
		return "expected a tenant's name as Loki has them";
	for (size_t i = 0; i < allowed->n; i++)
		if (glob__match(allowed->items[i], tenant))
			return NULL;
	return "discovery.annotations.tenants does not allow it";
}

static void read_tenant(const struct meta *m, const struct string_list *tenants, struct asked *ret)
{
	const char *value = lookup(m, TENANT, ""), *why;

	if (!value)
		return;
	why = tenant_problem(value, tenants);
	if (why)
		add_problem(ret, TENANT, value, why);
	else
		ret->tenant = value;
}

static int read_multiline(const struct meta *m, struct asked *ret)
{
	const char *value = lookup(m, MULTILINE, ""), *why;
	struct regex *re = NULL;
	bool continues;
	int err;

	if (!value)
		return 0;
	err = asked_multiline__new(&re, value, &continues, &why);
	if (err == -EINVAL)
		add_problem(ret, MULTILINE, value, why);
	else if (!err)
		ret->pattern = value;
	regex__free(re);
	return err == -EINVAL ? 0 : err;
}

int asked__read(const struct meta *m, const struct string_list *tenants, struct asked *ret)
{
	*ret = (struct asked){.preset = -1};
	read_preset(m, ret);
	read_tenant(m, tenants, ret);
	return read_multiline(m, ret);
}

/*
 * Lines that go on with the one before, as these languages print where an error came from. The
 * error's own line begins a block but where only its form tells it from others.
 */
static const struct {
	const char *name, *pattern;
} CONTINUATIONS[] = {
	{"indented", "[ \\t]"},
	{"node", "[ \\t]"},
	{"dotnet", "[ \\t]"},
	{"ruby", "[ \\t]"},
	{"java", "[ \\t]|Caused by: |Suppressed: |\\.\\.\\. \\d+ more"},
	{"python",
	 "[ \\t]|$|[A-Za-z_][\\w.]*(?:Error|Exception|Group|Exit|Interrupt|Warning)(?::|$)|"
	 "During handling of the above exception|The above exception was the direct"},
	{"go", "[ \\t]|$|\\[signal |goroutine \\d+ \\[|created by |exit status \\d+$|"
	       "[\\w./-]+\\.\\S*\\(.*\\)$"},
};

static const char *continuation(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(CONTINUATIONS); i++)
		if (!strcmp(CONTINUATIONS[i].name, name))
			return CONTINUATIONS[i].pattern;
	return NULL;
}

/* A word is a name that somebody mistook. */
static const char *pattern_problem(const char *pattern)
{
	if (!*pattern || strlen(pattern) > PATTERN_MAX)
		return "expected a regular expression of up to 256 bytes";
	if (!pattern[strspn(pattern, "abcdefghijklmnopqrstuvwxyz")])
		return "expected a regular expression, or java, python, go, node, dotnet, ruby or "
		       "indented";
	return NULL;
}

int asked_multiline__new(struct regex **ret, const char *pattern, bool *ret_continues,
			 const char **ret_why)
{
	const char *known = continuation(pattern);
	const char *why = known ? NULL : pattern_problem(pattern);
	char text[2 * PATTERN_MAX];
	struct regex *re = NULL;
	struct regex_error ignored;
	int err = why ? -EINVAL : regex__new(&re, known ? known : pattern, false, &ignored);

	/* Alone first: what is whole by itself is whole in a group. */
	if (!err) {
		regex__free(TAKE_PTR(re));
		snprintf(text, sizeof(text), "^(?:%s)", known ? known : pattern);
		err = regex__new(&re, text, false, &ignored);
	}
	if (!err && regex__size(re) > REGEX_MAX_BYTES) {
		why = "expected a smaller regular expression";
		err = -EINVAL;
	}
	if (err) {
		regex__free(re);
		if (err == -EINVAL)
			*ret_why = why ? why : "expected a regular expression";
		return err;
	}
	regex__limit(re, MATCH_LIMIT);
	*ret_continues = known;
	*ret = re;
	return 0;
}

static uint64_t mix(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = hash__byte(hash, *text);
	return hash * 0x9e3779b97f4a7c15 + 1;
}

bool asked_told__first(struct asked_told *t, const struct meta *m, const struct asked_problem *p)
{
	uint64_t hash = mix(HASH_START, m->pod ? m->pod->uid : m->id);

	hash = mix(mix(mix(hash, p->key), p->value), p->why);
	for (size_t i = 0; i < ARRAY_SIZE(t->hashes); i++)
		if (t->hashes[i] == hash)
			return false;
	t->hashes[t->next++ % ARRAY_SIZE(t->hashes)] = hash;
	return true;
}
