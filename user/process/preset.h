/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: the label sets that people already query.
 *
 * docker      container, stream, compose_project, compose_service, service_name (compose service,
 * or the container's name), job="docker", host kubernetes  namespace, pod, container, app (label
 * app.kubernetes.io/name, app, k8s-app or name, the controller's name, the pod's), job (annotation
 * k8s.grafana.com/logs.job, or namespace/container), service_name (annotation
 * resource.opentelemetry.io/service.name, label app.kubernetes.io/name, the container's name),
 * node_name, stream alloy       container, compose_service, compose_project, stream,
 * job="integrations/docker", service_name promtail    what its chart makes: namespace, pod,
 * container, app (label app.kubernetes.io/name or app, the controller's name, the pod's),
 * component, instance, node_name, job (namespace/app), stream, service_name; outside of pods
 * container, stream, job="docker" strict      app, env, service, stream and no other, whatever
 * rules make: others become metadata none        what rules make auto        kubernetes for a pod's
 * container, docker for others
 *
 * Structured metadata with all: container_id, image, engine, pod_uid, outer_container_id (of one
 * within a container), and for a tty tty="true" (whose stream label is stdout, as runtimes do). A
 * container without a name is called by the first 12 digits of its id, and has its cgroup_path in
 * the metadata, as what has no id has.
 *
 * In order: discovered__add and preset__add, label_list__sort, relabel__apply, preset__build,
 * limits__fit, label_set__seal.
 */
#ifndef NOTAIL_PROCESS_PRESET_H
#define NOTAIL_PROCESS_PRESET_H

#include <stdbool.h>

#include "base/line.h"
#include "config/preset.h"
#include "containers/meta.h"
#include "process/label_list.h"
#include "process/labels.h"

struct preset_opts {
	enum config_preset preset;
	const char *host; /* NULL: not known */
	const char *node; /* the cluster's name for it; NULL: host */
	enum config_pod_name pod;
	/* Of all streams, where neither preset nor rule made a label of the name. */
	const struct label_pair *external_labels;
	size_t n_external_labels;
	const char *env; /* strict's `env` without an external label; NULL: none */
};

enum preset_missing {
	PRESET_NO_APP = 1,
	PRESET_NO_ENV = 2,
}; /* strict only: worth a warning, once */

/* The preset's labels, before rules. Borrows from m and opts. 0 or -ENOMEM. */
int preset__add(struct label_list *l, const struct preset_opts *opts, const struct meta *m,
		enum line_stream stream);
/*
 * What rules left of the list: names that begin with __ are left out, external labels and the
 * metadata added. Not sealed; labels in the order of their importance, those that users' rules made
 * or changed behind the first *ret_n_own. *ret_missing: enum preset_missing. 0 or -ENOMEM.
 */
int preset__build(const struct label_list *l, const struct preset_opts *opts, const struct meta *m,
		  enum line_stream stream, unsigned *ret_missing, size_t *ret_n_own,
		  struct label_set **ret);
/* Of its pod, the pod's name. NULL: it is in none, or that is not known. */
const char *preset__namespace(const struct meta *m);
const char *preset__pod(const struct meta *m);
/* It may be a label; if not, it is metadata. */
bool preset__allows(enum config_preset preset, const char *name);

/* All of it for preset docker without rules. `host`: value of the label host. A sealed set, one
 * reference to the caller. 0 or -ENOMEM. */
int preset__docker(const struct meta *m, enum line_stream stream, const char *host,
		   struct label_set **ret);

#endif
