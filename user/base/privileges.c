/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capget and capset as system calls: three lines, where libcap would be one more library. KEPT is
 * what a run needs after its start.
 */
#include "base/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define BIT(n) (1ull << (n))

static const uint64_t KEPT =
	BIT(CAP_BPF) |		   /* map look-ups and updates, links of iterators */
	BIT(CAP_PERFMON) |	   /* iterators; hooks that are attached when they are needed */
	BIT(CAP_SYS_PTRACE) |	   /* /proc/PID/fd, exe and maps of other users' processes */
	BIT(CAP_DAC_READ_SEARCH) | /* bundles, cgroups by handle, the same files */
	BIT(CAP_SYS_NICE);	   /* real-time for the moment of a call on a map, with multi */

/* What stands for the first two where nobody gave them. */
static const uint64_t MODERN = BIT(CAP_BPF) | BIT(CAP_PERFMON);

void privileges__hide(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_debug("PR_SET_DUMPABLE: %m");
	if (setrlimit(RLIMIT_CORE, &none))
		log_debug("RLIMIT_CORE: %m");
}

int privileges__no_new(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static uint64_t join(const struct __user_cap_data_struct data[2])
{
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* What is not there cannot come back by an execve either. */
static void narrow_bounds(uint64_t kept)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(kept & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return; /* without CAP_SETPCAP; no_new_privs says the same */
}

int privileges__drop(bool write_others)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	uint64_t kept = KEPT, have;

	if (syscall(SYS_capget, &head, data))
		return -errno;
	have = join(data);
	if ((have & MODERN) != MODERN)
		kept |= BIT(CAP_SYS_ADMIN);
	if (write_others)
		kept |= BIT(CAP_DAC_OVERRIDE);
	kept &= have;
	narrow_bounds(kept);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	data[0] = (struct __user_cap_data_struct){(uint32_t)kept, (uint32_t)kept, 0};
	data[1] =
		(struct __user_cap_data_struct){(uint32_t)(kept >> 32), (uint32_t)(kept >> 32), 0};
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}
