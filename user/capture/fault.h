/* SPDX-License-Identifier: Apache-2.0 */
/* Delays for a test's build (notail-slow-scan), where containers that start could fall through. */
#ifndef NOTAIL_CAPTURE_FAULT_H
#define NOTAIL_CAPTURE_FAULT_H

#ifdef FAULT_SLOW_SCAN
#include <poll.h>

static inline void fault__gap(int ms)
{
	poll(NULL, 0, ms);
}
#else
static inline void fault__gap(int ms)
{
	(void)ms;
}
#endif

#endif
