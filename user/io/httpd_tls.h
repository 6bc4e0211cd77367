/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of a server, and whose it asks for: read again when a file changes, and what was
 * read before stays where the new ones are no good. TLS 1.2 at least. On the loop's thread.
 */
#ifndef NOTAIL_IO_HTTPD_TLS_H
#define NOTAIL_IO_HTTPD_TLS_H

#include <stddef.h>

struct httpd_tls;
struct ssl_st;

enum httpd_client_auth {
	HTTPD_CLIENT_NONE,     /* none is asked for */
	HTTPD_CLIENT_IF_GIVEN, /* one that is sent has to be good */
	HTTPD_CLIENT_REQUIRED,
};

struct httpd_tls_opts {
	const char *cert_file, *key_file; /* PEM; the chain behind the certificate */
	const char *client_ca_file;	  /* NULL: none */
	enum httpd_client_auth client_auth;
};

/* Strings are borrowed. -errno of a file or -EINVAL, with what is wrong in ret_why. */
int httpd_tls__new(struct httpd_tls **ret, const struct httpd_tls_opts *opts, char *ret_why,
		   size_t size);
/* After the servers that use it. NULL is fine. */
void httpd_tls__free(struct httpd_tls *t);
/* Of one connection, the caller's. NULL: no memory. */
struct ssl_st *httpd_tls__session(struct httpd_tls *t);

#endif
