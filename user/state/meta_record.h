/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata as bytes, for who outlives the process: all that labels are made of. */
#ifndef NOTAIL_STATE_META_RECORD_H
#define NOTAIL_STATE_META_RECORD_H

#include <stddef.h>

#include "base/buf.h"
#include "containers/meta.h"

/* Appends. The same metadata gives the same bytes. 0 or -ENOMEM. */
int meta_record__write(struct buf *to, const struct meta *m);
/* One reference of the caller's; its version is 0. Fields that are not known are passed over.
 * -EBADMSG: it is none; -ENOMEM. */
int meta_record__read(const void *bytes, size_t len, struct meta **ret);

#endif
