// SPDX-License-Identifier: Apache-2.0
/*
 * A wall clock that a test can turn without turning the machine's: LD_PRELOAD this, and name in
 * TURNED_CLOCK a file of 8 bytes, the nanoseconds (int64_t) that CLOCK_REALTIME is ahead. The file
 * is mapped: what the test writes counts at once, and no system call is made for it after the
 * start.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ll

static int (*real_gettime)(clockid_t, struct timespec *);
static const volatile int64_t *ahead_ns;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("TURNED_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map;

	real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*ahead_ns), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		ahead_ns = map;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int err = real_gettime ? real_gettime(clock, ts) : -1;
	int64_t ns;

	if (err || !ahead_ns || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return err;
	ns = ts->tv_sec * NS_PER_S + ts->tv_nsec + *ahead_ns;
	ts->tv_sec = ns / NS_PER_S;
	ts->tv_nsec = ns % NS_PER_S;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts = {0};

	(void)tz;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
