/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS of a request, as curl takes it. */
#ifndef NOTAIL_IO_HTTP_TLS_H
#define NOTAIL_IO_HTTP_TLS_H

#include <curl/curl.h>

struct http_tls;

/* Reads its files. NULL: the host's certificates, no TLS before 1.2. server_name is not for this.
 */
CURLcode http_tls__set(const struct http_tls *tls, CURL *easy);

#endif
