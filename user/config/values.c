/* SPDX-License-Identifier: Apache-2.0 */
#include "config/values.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == 108, "the text below says 107");

#define PINS_MAX 200 /* characters */

const char *values__check_docker_host(const char *host)
{
	const char *port = strrchr(host, ':');
	unsigned long number;
	char *end;

	if (!strncmp(host, "unix:///", 8) && host[8])
		return strlen(host + 7) <= 107 ? NULL : "a socket's path has at most 107 bytes";
	if (!strncmp(host, "tcp://", 6) && port > host + 6 && !strpbrk(host + 6, "/?#@ ") &&
	    port[1] >= '0' && port[1] <= '9') {
		number = strtoul(port + 1, &end, 10);
		if (!*end && number >= 1 && number <= UINT16_MAX)
			return NULL;
	}
	return "expected unix:///PATH or tcp://HOST:PORT";
}

bool values__is_name(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

bool values__listens(const char *address)
{
	return address && *address && strcmp(address, "off");
}

bool values__spools(const char *path)
{
	return path && *path && strcmp(path, "off");
}

bool values__pins(const char *dir)
{
	return dir && *dir && strcmp(dir, "off");
}

/* A name with a dot in it is the kernel's own there. */
const char *values__check_pins(const char *dir)
{
	size_t len = dir ? strlen(dir) : 0;

	if (!values__pins(dir) ||
	    (*dir == '/' && len > 1 && dir[len - 1] != '/' && len <= PINS_MAX && !strchr(dir, '.')))
		return NULL;
	return "a directory such as /sys/fs/bpf/notail, or off";
}

const char *values__check_spool_directory(const char *path)
{
	return !values__spools(path) || (*path == '/' && path[1]) ? NULL
								  : "an absolute path, or off";
}
