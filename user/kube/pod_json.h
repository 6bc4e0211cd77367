/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Pod's JSON to what is kept of it. Pure; the bytes are hostile (fuzz target): text becomes valid
 * UTF-8 without NUL, what is of the wrong type is as good as not there, and there is a bound to how
 * many of each are kept. What is not kept (managedFields is half of it) is read over.
 */
#ifndef NOTAIL_KUBE_POD_JSON_H
#define NOTAIL_KUBE_POD_JSON_H

#include <stddef.h>

struct pod;

#define POD_JSON_LABELS 1024
#define POD_JSON_ANNOTATIONS 1024
#define POD_JSON_VALUE_BYTES 16384 /* of an annotation; a longer one is not kept */
#define POD_JSON_CONTAINERS 256
#define POD_JSON_PORTS 8 /* of one container */

/* *ret: one reference. -EBADMSG: it is no object, or has no uid, namespace or name; -ENOMEM. */
int pod_json__parse(const char *json, size_t len, struct pod **ret);

#endif
