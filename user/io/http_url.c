/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of URLs without asking anybody. */
#include "io/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/util.h"

static const char *url_error(const char *url)
{
	if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8))
		return "it does not begin with http:// or https://";
	for (const char *p = url; *p; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p))
			return "it has a space or a control character in it";
	return NULL;
}

int http__check_url(const char *url, const char **ret_why)
{
	const char *why = url_error(url);
	CURLU *u;
	CURLUcode code;

	if (why) {
		*ret_why = why;
		return -EINVAL;
	}
	u = curl_url();
	if (!u) {
		*ret_why = "no memory";
		return -ENOMEM;
	}
	code = curl_url_set(u, CURLUPART_URL, url, 0);
	curl_url_cleanup(u);
	if (code == CURLUE_OK)
		return 0;
	*ret_why = code == CURLUE_BAD_PORT_NUMBER ? "its port is no number from 1 to 65535"
		   : code == CURLUE_NO_HOST	  ? "it has no host"
						  : "its host is malformed";
	return -EINVAL;
}

static int join_userinfo(CURLU *u, char **ret)
{
	char *user = NULL, *password = NULL, *joined = NULL;
	CURLUcode code;
	int err = 0;

	code = curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE);
	if (code == CURLUE_NO_USER) {
		*ret = NULL;
		return 0;
	}
	if (code == CURLUE_OK)
		code = curl_url_get(u, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
	if (code != CURLUE_OK && code != CURLUE_NO_PASSWORD)
		err = -EINVAL;
	else if (asprintf(&joined, "%s:%s", user, password ? password : "") < 0)
		err = -ENOMEM;
	else
		*ret = joined;
	curl_free(user);
	curl_free(password);
	return err;
}

int http__split_userinfo(const char *url, char **ret_url, char **ret_userinfo)
{
	const char *host = strstr(url, "://"), *end, *at = NULL;
	_free_ char *userinfo = NULL;
	char *bare;
	CURLU *u;
	int err = -EINVAL;

	u = curl_url();
	if (!u)
		return -ENOMEM;
	if (host && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		err = join_userinfo(u, &userinfo);
	curl_url_cleanup(u);
	if (err)
		return err;
	host += 3;
	end = host + strcspn(host, "/?#");
	for (const char *p = host; p < end; p++)
		at = *p == '@' ? p : at;
	if (asprintf(&bare, "%.*s%s", (int)(host - url), url, at ? at + 1 : host) < 0)
		return -ENOMEM;
	*ret_url = bare;
	*ret_userinfo = TAKE_PTR(userinfo);
	return 0;
}

int http__append_escaped(struct buf *b, const char *text)
{
	static const char UNRESERVED[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._~";
	int err = 0;

	while (*text && !err) {
		size_t bare = strspn(text, UNRESERVED);

		err = buf__append(b, text, bare);
		text += bare;
		if (*text && !err)
			err = buf__printf(b, "%%%02X", (unsigned char)*text++);
	}
	return err;
}
