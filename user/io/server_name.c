/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With an empty host and port in front CURLOPT_CONNECT_TO holds for whatever the URL says; a proxy
 * is asked for a tunnel to the address too. The Host header stays the address', as with other
 * clients that have a name for TLS alone.
 */
#include "io/server_name.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"

static void curl__free_p(char **s)
{
	curl_free(*s);
}

static void curlu__free_p(CURLU **u)
{
	curl_url_cleanup(*u);
}

#define _curl_ _cleanup_(curl__free_p)
#define _curlu_ _cleanup_(curlu__free_p)

static int error_of(CURLUcode code)
{
	if (code == CURLUE_OK)
		return 0;
	return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

static int set_host(CURLU *u, const char *name)
{
	_free_ char *bracketed = NULL;

	if (!strchr(name, ':') || name[0] == '[')
		return error_of(curl_url_set(u, CURLUPART_HOST, name, 0));
	if (asprintf(&bracketed, "[%s]", name) < 0) {
		bracketed = NULL;
		return -ENOMEM;
	}
	return error_of(curl_url_set(u, CURLUPART_HOST, bracketed, 0));
}

static char *printed(const char *before, const char *host, const char *port)
{
	char *out;

	if (asprintf(&out, "%s%s%s%s", before, host, port ? ":" : "", port ? port : "") < 0)
		return NULL;
	return out;
}

int server_name__apply(const char *url, const char *name, struct server_name *ret)
{
	_cleanup_(server_name__free) struct server_name s = {0};
	_curl_ char *host = NULL, *port = NULL, *said_port = NULL, *renamed = NULL;
	_curlu_ CURLU *u = curl_url();
	int err = u ? error_of(curl_url_set(u, CURLUPART_URL, url, 0)) : -ENOMEM;
	CURLUcode code;

	if (!err)
		err = error_of(curl_url_get(u, CURLUPART_HOST, &host, 0));
	if (!err)
		err = error_of(curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT));
	if (err)
		return err;
	code = curl_url_get(u, CURLUPART_PORT, &said_port, CURLU_NO_DEFAULT_PORT);
	err = code == CURLUE_NO_PORT ? 0 : error_of(code);
	if (!err)
		err = set_host(u, name);
	if (!err)
		err = error_of(curl_url_get(u, CURLUPART_URL, &renamed, 0));
	if (err)
		return err;
	s.url = strdup(renamed);
	s.connect_to = printed("::", host, port);
	s.host_header = printed("Host: ", host, said_port);
	if (!s.url || !s.connect_to || !s.host_header)
		return -ENOMEM;
	*ret = s;
	s = (struct server_name){0};
	return 0;
}

void server_name__free(struct server_name *s)
{
	free(s->url);
	free(s->connect_to);
	free(s->host_header);
	*s = (struct server_name){0};
}
