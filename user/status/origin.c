/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a browser is led to by a name in somebody's DNS has that name as Host, and is refused; a
 * page of another site can send a POST, which Origin and Sec-Fetch-Site tell. Whoever is no browser
 * may say what he likes, and needs to reach the address first.
 */
#include "status/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

#define HOST_LEN 256

static bool copy_host(char host[HOST_LEN], const char *text)
{
	size_t len = *text == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");

	if (len > strlen(text) || len >= HOST_LEN)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	text += len;
	if (*text == ':')
		text += 1 + strspn(text + 1, "0123456789");
	return !*text;
}

static bool is_literal(const char *host)
{
	size_t len = strlen(host);
	char inner[HOST_LEN];
	struct in6_addr to;

	if (*host != '[')
		return inet_pton(AF_INET, host, &to) == 1;
	memcpy(inner, host + 1, len - 1);
	inner[len - 2] = '\0';
	return inet_pton(AF_INET6, inner, &to) == 1;
}

bool origin__is_our_host(const char *host, const char *address)
{
	static const char *const ours[] = {"localhost", "127.0.0.1", "[::1]"};
	char name[HOST_LEN], own[HOST_LEN];

	if (!host || !copy_host(name, host) || !copy_host(own, address))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcasecmp(name, ours[i]))
			return true;
	/* One that listens on all addresses has all of them. */
	if (!strcmp(own, "0.0.0.0") || !strcmp(own, "[::]"))
		return is_literal(name);
	return !strcasecmp(name, own);
}

bool origin__is_foreign(const char *host, const char *origin, const char *fetch_site, bool tls)
{
	const char *scheme = tls ? "https://" : "http://";

	if (fetch_site && strcmp(fetch_site, "same-origin") && strcmp(fetch_site, "none"))
		return true;
	if (!origin)
		return false;
	return !host || strncmp(origin, scheme, strlen(scheme)) ||
	       strcasecmp(origin + strlen(scheme), host);
}
