/* SPDX-License-Identifier: Apache-2.0 */
/* --container, --label, --stream: which streams are wanted. Immutable after set-up. */
#ifndef NOTAIL_PROCESS_SELECT_H
#define NOTAIL_PROCESS_SELECT_H

#include <stdbool.h>

#include "base/line.h"
#include "containers/meta.h"
#include "process/labels.h"

struct selection;

int selection__new(struct selection **ret);
void selection__free(struct selection *s);
/* A shell pattern (fnmatch) on the container's name, or on what --stdout=text calls it, or a prefix
 * of its id of at least 6 hex digits; any of them suffices. */
int selection__add_container(struct selection *s, const char *pattern);
/* K=V: a label of the set or of the engine's own labels equals V; all of them must hold. -EINVAL:
 * no `=`. */
int selection__add_label(struct selection *s, const char *pair);
/* stdout or stderr (a tty is stdout); any of them suffices. -EINVAL: any other word. */
int selection__add_stream(struct selection *s, const char *name);
bool selection__wants(const struct selection *s, const struct meta *m, const struct label_set *set,
		      enum line_stream stream);

#endif
