/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule is compiled to its regex and its two expansions; all values are joined and made in buffers
 * of the rules and copied to the list's arena when they are set. Names of labels may be any UTF-8
 * here: what goes to Loki is made valid when the label set is built.
 */
#include "process/relabel.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/expand.h"
#include "base/letter_case.h"
#include "base/regex.h"
#include "base/util.h"

#define DEFAULT_SEPARATOR ";"
#define DEFAULT_REGEX "(.*)"
#define DEFAULT_REPLACEMENT "$1"
#define MD5_BYTES 16

static const char *const ACTIONS[] = {
	[RELABEL_REPLACE] = "replace",	   [RELABEL_KEEP] = "keep",
	[RELABEL_DROP] = "drop",	   [RELABEL_KEEPEQUAL] = "keepequal",
	[RELABEL_DROPEQUAL] = "dropequal", [RELABEL_HASHMOD] = "hashmod",
	[RELABEL_LABELMAP] = "labelmap",   [RELABEL_LABELDROP] = "labeldrop",
	[RELABEL_LABELKEEP] = "labelkeep", [RELABEL_LOWERCASE] = "lowercase",
	[RELABEL_UPPERCASE] = "uppercase", NULL,
};

static const struct field FIELDS[] = {
	FIELD(struct relabel_rule, source_labels, FIELD_STRINGS,
	      .doc = "Labels whose values, joined by the separator, are looked at."),
	FIELD(struct relabel_rule, separator, FIELD_STRING, .dflt = DEFAULT_SEPARATOR,
	      .doc = "What stands between the values of the source labels."),
	FIELD(struct relabel_rule, regex, FIELD_STRING, .dflt = DEFAULT_REGEX,
	      .doc = "A regular expression (RE2) that must match all of the joined values, or, for "
		     "labelmap, labeldrop and labelkeep, of a label's name."),
	FIELD(struct relabel_rule, modulus, FIELD_INT, .min = 0, .max = INT64_MAX,
	      .doc = "Of hashmod: the value is the hash modulo this."),
	FIELD(struct relabel_rule, target_label, FIELD_STRING, .example = "service_name",
	      .doc = "The label that is set, or compared; replace may use groups of the regex."),
	FIELD(struct relabel_rule, replacement, FIELD_STRING, .dflt = DEFAULT_REPLACEMENT,
	      .doc = "The new value, or name with labelmap; $1, ${1} and ${name} are groups."),
	FIELD(struct relabel_rule, action, FIELD_ENUM, .names = ACTIONS, .dflt = "replace",
	      .flags = FIELD_ANY_CASE, .doc = "What the rule does."),
	{0},
};

const struct schema relabel_rule_schema = {
	.name = "relabel_config",
	.size = sizeof(struct relabel_rule),
	.fields = FIELDS,
	.node_offset = offsetof(struct relabel_rule, node),
};

struct rule {
	enum relabel_action action;
	char **sources;
	size_t n_sources;
	char *separator;
	char *target_label; /* NULL: none */
	uint64_t modulus;
	char *pattern;
	struct regex *regex;
	struct expand *target;	    /* of replace */
	struct expand *replacement; /* of replace and labelmap */
};

struct relabel {
	struct rule *rules;
	size_t n;
	struct buf joined, name, value;
};

static bool valid_name(const char *name)
{
	return name && *name && utf8__valid(name, strlen(name));
}

static const struct node *at(const struct relabel_rule *r, const char *key)
{
	const struct node *n = r->node ? node__get(r->node, key) : NULL;

	return n ? n : r->node;
}

static bool needs_target(int action)
{
	switch (action) {
	case RELABEL_REPLACE:
	case RELABEL_HASHMOD:
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
	case RELABEL_KEEPEQUAL:
	case RELABEL_DROPEQUAL:
		return true;
	}
	return false;
}

/* What an action does not take is an error when it is not the default, as in Prometheus. */
static void check_unused(const struct relabel_rule *r, struct diag *diag)
{
	bool names_only = r->action == RELABEL_LABELDROP || r->action == RELABEL_LABELKEEP;
	bool equal = r->action == RELABEL_KEEPEQUAL || r->action == RELABEL_DROPEQUAL;
	bool letters = r->action == RELABEL_LOWERCASE || r->action == RELABEL_UPPERCASE;
	const struct {
		const char *key;
		bool set, refused;
	} rows[] = {
		{"source_labels", r->source_labels.n > 0, names_only},
		{"target_label", r->target_label && *r->target_label, names_only},
		{"modulus", r->modulus != 0, names_only || equal},
		{"separator", strcmp(r->separator, DEFAULT_SEPARATOR) != 0, names_only || equal},
		{"regex", strcmp(r->regex, DEFAULT_REGEX) != 0, equal},
		{"replacement", strcmp(r->replacement, DEFAULT_REPLACEMENT) != 0,
		 names_only || equal || letters},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].set && rows[i].refused)
			diag__error(diag, at(r, rows[i].key), "%s does not use it, expected %s",
				    ACTIONS[r->action],
				    names_only ? "only regex"
				    : equal    ? "only source_labels and target_label"
					       : "no replacement");
	}
}

static void check_rule(const struct relabel_rule *r, struct diag *diag)
{
	if (needs_target(r->action) && (!r->target_label || !*r->target_label))
		diag__error(diag, at(r, "target_label"),
			    "%s has no label to %s, expected "
			    "target_label",
			    ACTIONS[r->action],
			    r->action == RELABEL_KEEPEQUAL || r->action == RELABEL_DROPEQUAL
				    ? "compare"
				    : "set");
	else if (needs_target(r->action) && !valid_name(r->target_label))
		diag__error(diag, at(r, "target_label"), "malformed, expected a name in UTF-8");
	if (r->action == RELABEL_HASHMOD && r->modulus <= 0)
		diag__error(diag, at(r, "modulus"), "hashmod has no modulus, expected one over 0");
	if (r->action == RELABEL_LABELMAP && !valid_name(r->replacement))
		diag__error(diag, at(r, "replacement"), "malformed, expected a name in UTF-8");
	for (size_t i = 0; i < r->source_labels.n; i++) {
		if (!valid_name(r->source_labels.items[i]))
			diag__error(diag, at(r, "source_labels"),
				    "\"%.60s\" is no label's name, expected one in UTF-8",
				    r->source_labels.items[i]);
	}
	check_unused(r, diag);
}

static int compile_regex(struct rule *rule, const struct relabel_rule *r, struct diag *diag)
{
	struct regex_error error;
	int err = regex__new(&rule->regex, r->regex, true, &error);

	if (err == -EINVAL)
		diag__error(diag, at(r, "regex"),
			    "%s at offset %zu of \"%.80s\", expected a regular expression (RE2)",
			    error.text, error.offset, r->regex);
	return err;
}

static int copy_strings(struct rule *rule, const struct relabel_rule *r)
{
	rule->sources = calloc(r->source_labels.n + 1, sizeof(*rule->sources));
	rule->separator = strdup(r->separator);
	rule->pattern = strdup(r->regex);
	rule->target_label = r->target_label ? strdup(r->target_label) : NULL;
	if (!rule->sources || !rule->separator || !rule->pattern ||
	    (r->target_label && !rule->target_label))
		return -ENOMEM;
	for (; rule->n_sources < r->source_labels.n; rule->n_sources++) {
		rule->sources[rule->n_sources] = strdup(r->source_labels.items[rule->n_sources]);
		if (!rule->sources[rule->n_sources])
			return -ENOMEM;
	}
	return 0;
}

static int compile(struct rule *rule, const struct relabel_rule *r, struct diag *diag)
{
	size_t errors = diag__errors(diag);
	int err;

	check_rule(r, diag);
	err = compile_regex(rule, r, diag);
	if (err == -ENOMEM)
		return err;
	if (diag__errors(diag) != errors)
		return -EINVAL;
	rule->action = (enum relabel_action)r->action;
	rule->modulus = (uint64_t)r->modulus;
	err = copy_strings(rule, r);
	if (!err && rule->action == RELABEL_REPLACE)
		err = expand__new(&rule->target, r->target_label, rule->regex);
	if (!err && (rule->action == RELABEL_REPLACE || rule->action == RELABEL_LABELMAP))
		err = expand__new(&rule->replacement, r->replacement, rule->regex);
	return err;
}

int relabel__new(struct relabel **ret, const struct relabel_rule *rules, size_t n,
		 struct diag *diag)
{
	struct relabel *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->rules = calloc(n + 1, sizeof(*r->rules));
	if (!r->rules)
		err = -ENOMEM;
	/* All that is wrong, not the first only. */
	for (; err != -ENOMEM && r->n < n; r->n++) {
		int e = compile(&r->rules[r->n], &rules[r->n], diag);

		err = e ? e : err;
	}
	if (err) {
		relabel__free(r);
		return err;
	}
	*ret = r;
	return 0;
}

static void rule__free(struct rule *rule)
{
	for (size_t i = 0; i < rule->n_sources; i++)
		free(rule->sources[i]);
	free(rule->sources);
	free(rule->separator);
	free(rule->pattern);
	free(rule->target_label);
	regex__free(rule->regex);
	expand__free(rule->target);
	expand__free(rule->replacement);
}

void relabel__free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		rule__free(&r->rules[i]);
	free(r->rules);
	buf__free(&r->joined);
	buf__free(&r->name);
	buf__free(&r->value);
	free(r);
}

static int join(struct relabel *r, const struct rule *rule, const struct label_list *labels)
{
	int err = 0;

	r->joined.len = 0;
	for (size_t i = 0; i < rule->n_sources && !err; i++) {
		if (i)
			err = buf__append_str(&r->joined, rule->separator);
		if (!err)
			err = buf__append_str(&r->joined,
					      label_list__get(labels, rule->sources[i]));
	}
	return err ? err : buf__append(&r->joined, "", 1);
}

/* 1, 0 or -ENOMEM: a match that hit the limit is none, and the regex has counted it. */
static int matches(const struct rule *rule, const char *text, size_t len,
		   const struct regex_span **ret_spans)
{
	int n = regex__match(rule->regex, text, len, 0, ret_spans);

	return n == -EOVERFLOW ? 0 : n;
}

static int expand(const struct expand *e, const struct regex_span *spans, struct buf *out)
{
	int err;

	out->len = 0;
	err = expand__append(e, spans, out);
	return err ? err : buf__append(out, "", 1);
}

static int replace(struct relabel *r, const struct rule *rule, struct label_list *labels)
{
	const struct regex_span *spans;
	int n = matches(rule, r->joined.data, r->joined.len - 1, &spans);

	if (n != 1)
		return n;
	if (expand(rule->target, spans, &r->name) || expand(rule->replacement, spans, &r->value))
		return -ENOMEM;
	if (!valid_name(r->name.data))
		return 0;
	return label_list__set_copy(labels, r->name.data, r->value.data);
}

static int hashmod(struct relabel *r, const struct rule *rule, struct label_list *labels)
{
	unsigned char hash[MD5_BYTES];
	uint64_t number = 0;
	size_t len;
	char text[24];

	if (!EVP_Q_digest(NULL, "MD5", NULL, r->joined.data, r->joined.len - 1, hash, &len))
		return -ENOMEM;
	for (size_t i = 8; i < MD5_BYTES; i++)
		number = number << 8 | hash[i];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(number % rule->modulus));
	return label_list__set_copy(labels, rule->target_label, text);
}

static int letters(struct relabel *r, const struct rule *rule, struct label_list *labels)
{
	int err;

	r->value.len = 0;
	err = letter_case__append(&r->value, r->joined.data, r->joined.len - 1,
				  rule->action == RELABEL_UPPERCASE);
	if (!err)
		err = buf__append(&r->value, "", 1);
	return err ? err : label_list__set_copy(labels, rule->target_label, r->value.data);
}

/* Rules over names: of the labels as they were before the rule. */
static int over_names(struct relabel *r, const struct rule *rule, struct label_list *labels)
{
	size_t n = labels->n;
	struct label_pair *before = arena__alloc(labels->arena, n * sizeof(*before));
	int err = 0;

	if (!before)
		return -ENOMEM;
	if (n)
		memcpy(before, labels->items, n * sizeof(*before));
	for (size_t i = 0; i < n && !err; i++) {
		const struct regex_span *spans;
		int found = matches(rule, before[i].name, strlen(before[i].name), &spans);

		if (found < 0)
			return found;
		if (rule->action != RELABEL_LABELMAP) {
			if (found == (rule->action == RELABEL_LABELDROP))
				label_list__delete(labels, before[i].name);
		} else if (found) {
			err = expand(rule->replacement, spans, &r->name);
			if (!err && valid_name(r->name.data))
				err = label_list__set_copy(labels, r->name.data, before[i].value);
		}
	}
	return err;
}

/* 1: kept. */
static int apply(struct relabel *r, const struct rule *rule, struct label_list *labels)
{
	const struct regex_span *spans;
	int err = join(r, rule, labels), n;

	if (err)
		return err;
	switch (rule->action) {
	case RELABEL_KEEP:
	case RELABEL_DROP:
		n = matches(rule, r->joined.data, r->joined.len - 1, &spans);
		return n < 0 ? n : n == (rule->action == RELABEL_KEEP);
	case RELABEL_KEEPEQUAL:
	case RELABEL_DROPEQUAL:
		n = strcmp(label_list__get(labels, rule->target_label), r->joined.data) == 0;
		return n == (rule->action == RELABEL_KEEPEQUAL);
	case RELABEL_REPLACE:
		err = replace(r, rule, labels);
		break;
	case RELABEL_HASHMOD:
		err = hashmod(r, rule, labels);
		break;
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
		err = letters(r, rule, labels);
		break;
	case RELABEL_LABELMAP:
	case RELABEL_LABELDROP:
	case RELABEL_LABELKEEP:
		err = over_names(r, rule, labels);
		break;
	}
	return err ? err : 1;
}

bool relabel__is_empty(const struct relabel *r)
{
	return r->n == 0;
}

int relabel__apply(struct relabel *r, struct label_list *labels, size_t *ret_rule)
{
	for (size_t i = 0; i < r->n; i++) {
		int kept = apply(r, &r->rules[i], labels);

		if (kept == 0 && ret_rule)
			*ret_rule = i;
		if (kept != 1)
			return kept;
	}
	return 1;
}

static bool rule__reads(const struct rule *rule, const char *name, bool prefix)
{
	const struct regex_span *spans;
	size_t len = strlen(name);

	for (size_t i = 0; i < rule->n_sources; i++) {
		if (strncmp(rule->sources[i], name, len) == 0 && (prefix || !rule->sources[i][len]))
			return true;
	}
	if (rule->action != RELABEL_LABELMAP)
		return false;
	/* Which names with the prefix it may match cannot be told; that it speaks of them can. */
	return prefix ? strstr(rule->pattern, name) != NULL : matches(rule, name, len, &spans) == 1;
}

bool relabel__reads(struct relabel *r, const char *name, bool prefix)
{
	for (size_t i = 0; i < r->n; i++) {
		if (rule__reads(&r->rules[i], name, prefix))
			return true;
	}
	return false;
}

uint64_t relabel__limited(const struct relabel *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += regex__limited(r->rules[i].regex);
	return n;
}
