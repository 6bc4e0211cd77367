/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a (container, stream) as labels for relabelling rules: __meta_docker_* as
 * Prometheus' docker_sd and Promtail's docker target name them, for containers of docker and
 * podman, __meta_kubernetes_* as Prometheus' pod role names them (3.11's names of Deployments, Jobs
 * and CronJobs too), for containers of pods, and __meta_notail_* for all:
 *
 *   __meta_notail_engine, _container_id, _container_name (without a slash), _image, _pod_uid,
 *   _outer_container_id, _cgroup (path), _stream (stdout, stderr), _tty ("true"), _hook_set, _host
 *
 * Of a pod that nobody but a bundle tells of there are its name, namespace and uid, the container's
 * name, id and image, the node (this host), and its controller where the name says it for certain.
 */
#ifndef NOTAIL_PROCESS_DISCOVERED_H
#define NOTAIL_PROCESS_DISCOVERED_H

#include "base/line.h"
#include "containers/meta.h"
#include "process/label_list.h"
#include "process/relabel.h"

struct discovered_opts {
	const char *host;     /* NULL: not known */
	const char *node;     /* the cluster's name for it; NULL: host */
	const char *hook_set; /* NULL: not known */
};

/* Adds to the list, unsorted. Borrows from m and opts, which must outlive the list. 0 or -ENOMEM.
 */
int discovered__add(struct label_list *l, const struct meta *m, enum line_stream stream,
		    const struct discovered_opts *opts);

/* Rules read networks, ports or image ids, of which docker's events say nothing:
 * docker_opts.details.
 */
bool discovered__needs_details(struct relabel *rules);

/* "stdout" or "stderr"; a terminal's is stdout, as runtimes have it. */
const char *discovered__stream(enum line_stream stream);

#endif
