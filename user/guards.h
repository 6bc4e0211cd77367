/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration asks of those who ask the status server. */
#ifndef NOTAIL_GUARDS_H
#define NOTAIL_GUARDS_H

#include <stddef.h>

struct auth;
struct config_server;
struct httpd_tls;

struct guards {
	struct httpd_tls *tls; /* NULL: none */
	struct auth *user;     /* NULL: everybody */
};

/* Of zeros; NULL: there is no file. -errno, and what is wrong in ret_why where strerror does not
 * say enough: to be freed all the same. */
int guards__make(struct guards *ret, const struct config_server *c, char *ret_why, size_t size);
void guards__free(struct guards *g);

#endif
