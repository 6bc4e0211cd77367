/* SPDX-License-Identifier: Apache-2.0 */
/* Where the engine is. */
#include "containers/docker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

int docker__parse_host(struct docker *d, const char *host)
{
	const char *why;

	d->host = strdup(host);
	if (!d->host)
		return -ENOMEM;
	if (strncmp(host, "unix://", 7) == 0) {
		d->socket = d->host + 7;
		/* What sun_path holds with its NUL. */
		if (d->socket[0] != '/' || strlen(d->socket) >= 108)
			return -EINVAL;
		d->base_url = strdup("http://docker");
	} else if (strncmp(host, "tcp://", 6) == 0) {
		if (asprintf(&d->base_url, "http%s://%s", d->with_tls ? "s" : "", host + 6) < 0)
			d->base_url = NULL;
		if (d->base_url && http__check_url(d->base_url, &why) != 0)
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	return d->base_url ? 0 : -ENOMEM;
}

int docker__copy_tls(struct docker *d, const struct http_tls *tls)
{
	const struct {
		const char *from;
		const char **to;
	} strings[] = {
		{tls->ca_file, &d->tls.ca_file},
		{tls->cert_file, &d->tls.cert_file},
		{tls->key_file, &d->tls.key_file},
		{tls->server_name, &d->tls.server_name},
		{tls->ca, &d->tls.ca},
		{tls->cert, &d->tls.cert},
		{tls->key, &d->tls.key},
	};

	d->with_tls = true;
	d->tls.insecure = tls->insecure;
	d->tls.min_version = tls->min_version;
	d->tls.max_version = tls->max_version;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		if (!strings[i].from)
			continue;
		*strings[i].to = strdup(strings[i].from);
		if (!*strings[i].to)
			return -ENOMEM;
	}
	return 0;
}

const char *docker__default_host(void)
{
	bool docker = access(DOCKER_DEFAULT_HOST + strlen("unix://"), F_OK) == 0;
	bool podman = access(DOCKER_PODMAN_HOST + strlen("unix://"), F_OK) == 0;

	return podman && !docker ? DOCKER_PODMAN_HOST : DOCKER_DEFAULT_HOST;
}

int docker__check(const char *host, char *ret_why, size_t size)
{
	if (strncmp(host, "unix://", 7) != 0 ||
	    faccessat(AT_FDCWD, host + 7, R_OK | W_OK, AT_EACCESS) == 0 || errno != EACCES)
		return 0;
	snprintf(ret_why, size,
		 "docker: %s: %s: let notail open it, name another (--docker HOST), or do without "
		 "names (--no-docker)",
		 host, strerror(EACCES));
	return -EACCES;
}
