/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start needs much that a run does not: programs are loaded, file systems mounted, a namespace is
 * entered. All that is over when this is called; what a run still needs stands in two tables, of
 * capabilities in base/privileges.c and of system calls in security/filter.c.
 */
#include "confine.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privileges.h"
#include "security/filter.h"

#define UNIX "unix://"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* they call whatever they like */
#else
#define SANITIZED false
#endif

void confine__begin(const struct options *o)
{
	if (!o->command)
		privileges__hide();
}

/* rootless podman's */
static bool is_anothers_socket(const char *host)
{
	struct stat st;

	return host && !strncmp(host, UNIX, strlen(UNIX)) && !stat(host + strlen(UNIX), &st) &&
	       st.st_uid != geteuid();
}

void confine__run(const struct options *o, const char *docker_host)
{
	int err;

	if (o->command)
		return;
	err = privileges__drop(is_anothers_socket(docker_host));
	if (err)
		log_warn("capabilities are kept: %s", strerror(-err));
	err = privileges__no_new();
	if (err)
		log_warn("no_new_privs: %s", strerror(-err));
	err = SANITIZED ? 0 : filter__apply((enum filter_mode)o->seccomp);
	if (err)
		log_warn("no seccomp filter: %s (security.seccomp: off says that none is wanted)",
			 strerror(-err));
}
