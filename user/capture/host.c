/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asked before anything is loaded, because the kernel's own answers (EPERM, ESRCH) do not say what
 * is missing.
 */
#include "capture/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "capture/proc.h"

#define FIRST_PID_NAMESPACE 0xeffffffcu

/* CAP_SYS_ADMIN stands for all but CAP_SYS_PTRACE, which only the scan needs. */
int host__capabilities(char *ret_why, size_t size)
{
	static const struct {
		int number;
		const char *name;
	} needed[] = {
		{CAP_BPF, "CAP_BPF"},
		{CAP_PERFMON, "CAP_PERFMON"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
	};
	char status[8192], missing[128] = "";
	const char *line;
	uint64_t have;

	if (file__read_text(AT_FDCWD, "/proc/self/status", status, sizeof(status)) < 0)
		return 0; /* the kernel will say it */
	line = strstr(status, "\nCapEff:");
	if (!line)
		return 0;
	have = strtoull(line + strlen("\nCapEff:"), NULL, 16);
	if (have & (1ull << CAP_SYS_ADMIN)) {
		if (!(have & (1ull << CAP_SYS_PTRACE)))
			log_warn("missing CAP_SYS_PTRACE: containers that run already are not "
				 "found");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		size_t len = strlen(missing);

		if (!(have & (1ull << needed[i].number)))
			snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "",
				 needed[i].name);
	}
	if (!missing[0])
		return 0;
	snprintf(ret_why, size,
		 "missing %s: run notail as root, or give it these capabilities (or CAP_SYS_ADMIN)",
		 missing);
	return -EPERM;
}

int host__btf(char *ret_why, size_t size)
{
	int r;

	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		return 0;
	r = -errno;
	snprintf(ret_why, size,
		 "/sys/kernel/btf/vmlinux cannot be read (%s): notail needs a kernel built with "
		 "CONFIG_DEBUG_INFO_BTF, and /sys",
		 strerror(-r));
	return r;
}

/*
 * The kernel side knows processes by their ids in the first pid namespace, whose inode number is a
 * constant (PROC_PID_INIT_INO).
 */
int host__pid_namespace(char *ret_why, size_t size)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == FIRST_PID_NAMESPACE)
		return 0;
	snprintf(ret_why, size,
		 "notail is in a pid namespace of its own and cannot know the host's processes: "
		 "start it in the host's (docker: --pid=host)");
	return -ENOTSUP;
}

int host__check(char *ret_why, size_t size)
{
	int r = host__capabilities(ret_why, size);

	if (r == 0)
		r = host__btf(ret_why, size);
	if (r == 0)
		r = host__pid_namespace(ret_why, size);
	return r;
}
