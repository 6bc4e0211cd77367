/* SPDX-License-Identifier: Apache-2.0 */
/* Three lists; an empty one wants everything. Asked once for each stream and version of its
 * metadata, not for each line. */
#include "process/select.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define MIN_ID_PREFIX 6

struct selection {
	char **containers;
	size_t n_containers;
	struct meta_label *labels;
	size_t n_labels;
	bool streams; /* some are named */
	bool out;
	bool err;
};

int selection__new(struct selection **ret)
{
	struct selection *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

void selection__free(struct selection *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_containers; i++)
		free(s->containers[i]);
	free(s->containers);
	for (size_t i = 0; i < s->n_labels; i++) {
		free(s->labels[i].name);
		free(s->labels[i].value);
	}
	free(s->labels);
	free(s);
}

int selection__add_container(struct selection *s, const char *pattern)
{
	char **grown = reallocarray(s->containers, s->n_containers + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->containers = grown;
	grown[s->n_containers] = strdup(pattern);
	if (!grown[s->n_containers])
		return -ENOMEM;
	s->n_containers++;
	return 0;
}

int selection__add_label(struct selection *s, const char *pair)
{
	const char *equals = strchr(pair, '=');
	_free_ char *name = NULL, *value = NULL;
	struct meta_label *grown;

	if (!equals || equals == pair)
		return -EINVAL;
	name = strndup(pair, (size_t)(equals - pair));
	value = strdup(equals + 1);
	grown = reallocarray(s->labels, s->n_labels + 1, sizeof(*grown));
	if (grown)
		s->labels = grown;
	if (!name || !value || !grown)
		return -ENOMEM;
	grown[s->n_labels].name = TAKE_PTR(name);
	grown[s->n_labels].value = TAKE_PTR(value);
	s->n_labels++;
	return 0;
}

int selection__add_stream(struct selection *s, const char *name)
{
	if (strcmp(name, "stdout") == 0)
		s->out = true;
	else if (strcmp(name, "stderr") == 0)
		s->err = true;
	else
		return -EINVAL;
	s->streams = true;
	return 0;
}

static bool wants_container(const struct selection *s, const struct meta *m,
			    const struct label_set *set)
{
	for (size_t i = 0; i < s->n_containers; i++) {
		const char *pattern = s->containers[i];
		size_t len = strlen(pattern);

		if (m->name && fnmatch(pattern, m->name, 0) == 0)
			return true;
		if (set && set->display && fnmatch(pattern, set->display, 0) == 0)
			return true;
		if (m->id && len >= MIN_ID_PREFIX && strncmp(pattern, m->id, len) == 0)
			return true;
	}
	return s->n_containers == 0;
}

static bool equal(const char *value, const char *wanted)
{
	return value && strcmp(value, wanted) == 0;
}

static bool wants_labels(const struct selection *s, const struct meta *m,
			 const struct label_set *set)
{
	for (size_t i = 0; i < s->n_labels; i++) {
		const struct meta_label *l = &s->labels[i];

		if (!equal(meta__label(m, l->name), l->value) &&
		    !(set && equal(label_set__get(set, l->name), l->value)))
			return false;
	}
	return true;
}

bool selection__wants(const struct selection *s, const struct meta *m, const struct label_set *set,
		      enum line_stream stream)
{
	if (s->streams && !(stream == LINE_STDERR ? s->err : s->out))
		return false;
	return wants_container(s, m, set) && wants_labels(s, m, set);
}
