/* SPDX-License-Identifier: Apache-2.0 */
/* /targets: what is captured of which container, and why something is not, as JSON. */
#ifndef NOTAIL_STATUS_TARGETS_H
#define NOTAIL_STATUS_TARGETS_H

#include "base/buf.h"
#include "status/view.h"

/* Appends one object, and a newline. What is not UTF-8 becomes `?`. 0 or -ENOMEM. */
int targets__json(const struct view *v, struct buf *out);

#endif
