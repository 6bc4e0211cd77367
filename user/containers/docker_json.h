/* SPDX-License-Identifier: Apache-2.0 */
/* The Docker Engine API's answers to metadata. Pure; the bytes are hostile (fuzz target). */
#ifndef NOTAIL_CONTAINERS_DOCKER_JSON_H
#define NOTAIL_CONTAINERS_DOCKER_JSON_H

#include <stddef.h>

#include "containers/meta.h"

/* GET /version: *ret_version = "1.41", to free: the newest that both sides know. -EBADMSG: not what
 * the API promises. */
int docker_json__version(const char *data, size_t len, char **ret_version);
/* GET /containers/ID/json: one reference to the caller. -EBADMSG. */
int docker_json__inspect(const char *data, size_t len, struct meta **ret_meta);
/* GET /containers/json?all=1: calls fn for each entry (takes the reference over); -EBADMSG for the
 * whole answer. */
int docker_json__list(const char *data, size_t len, void (*fn)(void *ctx, struct meta *m),
		      void *ctx);

/* GET /networks: calls fn for each that has an id (takes the reference over). -EBADMSG; -ENOMEM,
 * after some. */
int docker_json__networks(const char *data, size_t len,
			  void (*fn)(void *ctx, struct meta_network *n), void *ctx);

enum docker_event_action {
	DOCKER_EVENT_OTHER,
	DOCKER_EVENT_CREATE,
	DOCKER_EVENT_START,
	DOCKER_EVENT_RENAME,
	DOCKER_EVENT_DESTROY,
	DOCKER_EVENT_NETWORK, /* *ret_id was connected to a network, or disconnected */
};
/*
 * One object of GET /events. For create, start and rename *ret_meta has id, name, image and labels
 * from the actor's attributes; NULL for the others; *ret_id (to free) is set for every container
 * event.
 */
int docker_json__event(const char *data, size_t len, enum docker_event_action *ret_action,
		       char **ret_id, struct meta **ret_meta);

#endif
