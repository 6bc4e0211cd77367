/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that notail makes once it runs; all others are refused. */
#ifndef NOTAIL_SECURITY_FILTER_H
#define NOTAIL_SECURITY_FILTER_H

enum filter_mode {
	FILTER_OFF,
	FILTER_ON,   /* others fail with EPERM, and the kernel's audit log says so */
	FILTER_KILL, /* others end the process */
};

/* For all threads of the process, for ever; execve is among what is refused. Needs
 * privileges__no_new or CAP_SYS_ADMIN. 0 or -errno: there is no filter then. */
int filter__apply(enum filter_mode mode);

#endif
