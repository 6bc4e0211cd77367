/* SPDX-License-Identifier: Apache-2.0 */
#include "containers/path_meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "containers/cgroup.h"
#include "containers/meta.h"
#include "containers/pod.h"

int path_meta__new(struct meta **ret, const char *path, size_t len,
		   const struct cgroup_identity *identity)
{
	struct cgroup_description description;
	_meta_ struct meta *m = meta__new();
	int err = m ? 0 : -ENOMEM;

	if (err)
		return err;
	m->cgroup_path = strndup(path, len);
	if (!m->cgroup_path)
		return -ENOMEM;
	if (identity) {
		err = meta__copy_string(&m->engine, identity->engine);
		if (!err)
			err = meta__copy_string(&m->id, identity->container_id);
		if (!err && identity->pod_uid[0])
			err = meta__copy_string(&m->pod_uid, identity->pod_uid);
		if (!err && identity->outer_id[0])
			err = meta__copy_string(&m->outer_id, identity->outer_id);
	} else if (cgroup__describe(path, len, &description)) {
		err = meta__copy_string(&m->engine, description.engine);
		if (!err)
			err = meta__copy_string(&m->name, description.name);
		if (!err && strcmp(description.engine, "containerd") == 0)
			err = meta__copy_string(&m->id, description.name + description.id_at);
	}
	if (!err)
		*ret = TAKE_PTR(m);
	return err;
}

/* That of the API object, which of a static pod is another than what its cgroup has. */
static const char *pod_uid(const struct meta *path, const struct meta *published)
{
	if (published->pod && published->pod->uid)
		return published->pod->uid;
	return path->pod_uid ? path->pod_uid : published->pod_uid;
}

int path_meta__merge(struct meta **ret, const struct meta *path, const struct meta *published)
{
	_meta_ struct meta *m = meta__new();
	const char *engine = path->engine;
	int err;

	if (!m)
		return -ENOMEM;
	if (published->engine && (!engine || strcmp(engine, "kubernetes") == 0))
		engine = published->engine;
	err = meta__copy(m, published);
	free(m->engine);
	m->engine = NULL;
	if (!err)
		err = meta__copy_string(&m->engine, engine);
	if (!err)
		err = meta__copy_string(&m->cgroup_path, path->cgroup_path);
	if (!err)
		err = meta__copy_string(&m->pod_uid, pod_uid(path, published));
	if (!err)
		err = meta__copy_string(&m->outer_id, path->outer_id);
	if (err)
		return err;
	*ret = TAKE_PTR(m);
	return 0;
}
