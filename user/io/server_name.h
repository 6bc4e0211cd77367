/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS server that answers to another name than that of its address: libcurl takes the name to ask
 * for (SNI) and to verify from the URL, so the URL gets it, and the address moves to where curl is
 * told to connect. Pure.
 */
#ifndef NOTAIL_IO_SERVER_NAME_H
#define NOTAIL_IO_SERVER_NAME_H

struct server_name {
	char *url;	   /* with the name for its host */
	char *connect_to;  /* CURLOPT_CONNECT_TO: the host and port that the URL had */
	char *host_header; /* "Host: " as the URL had it */
};

/* *ret only on success, to be freed. An address of IPv6 may stand in brackets, or not. -EINVAL: the
 * URL is none, or the name cannot stand in one; -ENOMEM. */
int server_name__apply(const char *url, const char *name, struct server_name *ret);
void server_name__free(struct server_name *s);

#endif
