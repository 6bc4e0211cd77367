/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything on the way lies in one arena that is given back before the next set is made.
 */
#include "process/labelling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define ARENA_MAX (64u << 20)

struct labelling {
	struct labelling_opts opts;
	struct arena arena;
	char why[64];
	unsigned said; /* enum preset_missing */
	bool said_left_out;
};

int labelling__new(struct labelling **ret, const struct labelling_opts *opts)
{
	struct labelling *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	l->arena.max = ARENA_MAX;
	*ret = l;
	return 0;
}

void labelling__free(struct labelling *l)
{
	if (!l)
		return;
	arena__free(&l->arena);
	free(l);
}

/* Its owner's word, or that of an agent before us. NULL: none. */
static const char *opted_out(const struct meta *m)
{
	static const char *const names[] = {"notail.io/exclude", "fluentbit.io/exclude",
					    "vector.dev/exclude"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = meta__label(m, names[i]);

		if (value && strcmp(value, "true") == 0)
			return names[i];
	}
	return NULL;
}

static int discover(struct labelling *l, const struct meta *m, enum line_stream stream,
		    struct label_list *list)
{
	const struct labelling_opts *o = &l->opts;
	int err = discovered__add(list, m, stream, &o->discovered);

	if (!err)
		err = preset__add(list, &o->preset, m, stream);
	for (size_t i = 0; i < o->n_static_labels && !err; i++)
		err = label_list__set(list, o->static_labels[i].name, o->static_labels[i].value);
	label_list__sort(list);
	return err;
}

static void warn_missing(struct labelling *l, const struct meta *m, unsigned missing)
{
	const char *name = m->name ? m->name : m->id ? m->id : "a container";

	missing &= ~l->said;
	l->said |= missing;
	if (missing & PRESET_NO_APP)
		log_warn("preset strict: %s has no label app: it is in no compose project; "
			 "external_labels may give one",
			 name);
	if (missing & PRESET_NO_ENV)
		log_warn("preset strict: no label env: external_labels, or APP_ENV in notail's "
			 "environment, may give one");
}

static int finish(struct labelling *l, const struct label_list *list, const struct meta *m,
		  enum line_stream stream, uint64_t time_ns, struct labelling_result *ret)
{
	const char *tenant = label_list__get(list, "__tenant_id__");
	_label_set_ struct label_set *s = NULL;
	unsigned missing;
	size_t n_own;
	int err = preset__build(list, &l->opts.preset, m, stream, &missing, &n_own, &s);

	if (!err && l->opts.limits)
		err = limits__fit(l->opts.limits, s, n_own, time_ns);
	if (!err)
		err = label_set__seal(s);
	if (err)
		return err;
	warn_missing(l, m, missing);
	if (list->left_out && !l->said_left_out)
		log_warn("%s: rules made more than %u labels: others are left out",
			 m->name ? m->name : "a container", LABEL_LIST_MAX);
	l->said_left_out |= list->left_out > 0;
	ret->tenant = *tenant ? tenant : NULL;
	ret->set = TAKE_PTR(s);
	return 1;
}

int labelling__make(struct labelling *l, const struct meta *m, enum line_stream stream,
		    uint64_t time_ns, struct labelling_result *ret_result, const char **ret_why)
{
	struct label_list list = {.arena = &l->arena};
	const char *out = opted_out(m);
	size_t rule;
	int kept = 1;

	if (out) {
		snprintf(l->why, sizeof(l->why), "its label %s", out);
		*ret_why = l->why;
		return 0;
	}
	arena__reset(&l->arena);
	if (discover(l, m, stream, &list) != 0)
		return -ENOMEM;
	if (l->opts.rules)
		kept = relabel__apply(l->opts.rules, &list, &rule);
	if (kept == 0) {
		snprintf(l->why, sizeof(l->why), "rule %zu of relabel_configs", rule + 1);
		*ret_why = l->why;
	}
	return kept == 1 ? finish(l, &list, m, stream, time_ns, ret_result) : kept;
}
