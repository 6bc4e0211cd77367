/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that no engine named is called by the first digits of its id, as docker ps shows
 * them; what is no container and has no name either by its cgroup. What lacks a name or an id has
 * its cgroup's path in the metadata, so that somebody can find out.
 */
#include "process/preset.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define SHORT_ID_LEN 12
#define MAX_DISPLAY 256

/* What to call it. Borrows from m or `buf`. */
static const char *container_name(const struct meta *m, char *buf, size_t size)
{
	const char *base;

	if (m->name)
		return m->name;
	if (m->id) {
		snprintf(buf, size, "%.*s", SHORT_ID_LEN, m->id);
		return buf;
	}
	base = m->cgroup_path ? strrchr(m->cgroup_path, '/') : NULL;
	base = base ? base + 1 : m->cgroup_path;
	return base && *base ? base : "unknown";
}

static int add_display(struct label_set *s, const struct meta *m, const char *container)
{
	const char *service = meta__label(m, "com.docker.compose.service");
	const char *number = meta__label(m, "com.docker.compose.container-number");
	char display[MAX_DISPLAY];

	if (!service || !*service || !number || !*number)
		return label_set__display(s, container);
	snprintf(display, sizeof(display), "%s-%s", service, number);
	return label_set__display(s, display);
}

/* Values may be NULL: nothing is added. */
static int add_all(struct label_set *s, int (*add)(struct label_set *, const char *, const char *),
		   const struct label *pairs, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (pairs[i].value)
			err = add(s, pairs[i].name, pairs[i].value);
	}
	return err;
}

int preset__docker(const struct meta *m, enum line_stream stream, const char *host,
		   struct label_set **ret)
{
	_label_set_ struct label_set *s = label_set__new();
	const char *service = meta__label(m, "com.docker.compose.service");
	char short_id[SHORT_ID_LEN + 1];
	const char *container = container_name(m, short_id, sizeof(short_id));
	const struct label labels[] = {
		{"container", (char *)container},
		{"stream", stream == LINE_STDERR ? "stderr" : "stdout"},
		{"compose_project", (char *)meta__label(m, "com.docker.compose.project")},
		{"compose_service", (char *)service},
		{"service_name", (char *)(service && *service ? service : container)},
		{"job", "docker"},
		{"host", (char *)host},
	};
	const struct label metadata[] = {
		{"container_id", m->id},
		{"image", m->image},
		{"engine", m->engine},
		{"pod_uid", m->pod_uid},
		{"outer_container_id", m->outer_id},
		{"tty", stream == LINE_TTY ? "true" : NULL},
		{"cgroup_path", m->name && m->id ? NULL : m->cgroup_path},
	};
	int err;

	if (!s)
		return -ENOMEM;
	err = add_all(s, label_set__add, labels, ARRAY_SIZE(labels));
	if (!err)
		err = add_all(s, label_set__add_metadata, metadata, ARRAY_SIZE(metadata));
	if (!err)
		err = add_display(s, m, container);
	if (!err)
		err = label_set__seal(s);
	if (err)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}
