/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask the status server, as far as headers tell. */
#ifndef NOTAIL_STATUS_ORIGIN_H
#define NOTAIL_STATUS_ORIGIN_H

#include <stdbool.h>

/*
 * Whether a Host header may be meant for a server that listens on `address`: a name that somebody
 * else's DNS makes point here is none of ours.
 */
bool origin__is_our_host(const char *host, const char *address);
/* Whether a browser says that another site's page sent the request. NULL: it does not say. */
bool origin__is_foreign(const char *host, const char *origin, const char *fetch_site, bool tls);

#endif
