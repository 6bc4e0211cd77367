/* SPDX-License-Identifier: Apache-2.0 */
/* A run that pins what it captures, and takes over what the one before it has pinned. */
#ifndef NOTAIL_CAPTURE_ADOPT_H
#define NOTAIL_CAPTURE_ADOPT_H

#include "capture/internal.h"

/* Locks the pins. Where nothing can be pinned, c->not_durable says why, and there are none.
 * -EBUSY: another run has them. */
int adopt__open(struct capture *c, char *ret_why, size_t size);
/* Takes over what is pinned, or loads, attaches and pins. */
int adopt__load(struct capture *c, char *ret_why, size_t size);
/* Tells c->ops what the kernel side knows already. */
void adopt__tell(struct capture *c);
/* Removes what the process before had put into the maps for itself. */
void adopt__clean(struct capture *c);
/* The programs that tap writes were attached after all. */
void adopt__writers(struct capture *c);
/* Says to the kernel side, now and then, that somebody reads. */
void adopt__beat(struct capture *c);
uint64_t adopt__due_ns(const struct capture *c);

#endif
