/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status page: one document of HTML without scripts or anything else to load, dark or light as
 * the reader has it, that loads itself again. Every value in it is escaped.
 */
#ifndef NOTAIL_STATUS_PAGE_H
#define NOTAIL_STATUS_PAGE_H

#include "base/buf.h"
#include "status/view.h"

/* Its Content-Security-Policy. */
#define PAGE_POLICY                                                                            \
	"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " \
	"frame-ancestors 'none'"
/* Streams that it shows; /targets has them all. */
#define PAGE_MAX_STREAMS 1000

/* Appends it. 0 or -ENOMEM. */
int page__html(const struct view *v, struct buf *out);
/* Appends text: no markup of its own, control characters and what is not UTF-8 become `?`. 0 or
 * -ENOMEM. */
int page__escape(struct buf *out, const char *text);

#endif
