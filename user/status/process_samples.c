/* SPDX-License-Identifier: Apache-2.0 */
/* Of /proc/self, with the names and units of the Prometheus client libraries. */
#include "status/process_samples.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* NUL-terminated, cut at the buffer's size; false: not there. */
static bool read_file(const char *path, char *out, size_t size)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[MAX(n, (ssize_t)0)] = '\0';
	return n > 0;
}

static void add_cpu(struct samples *s)
{
	struct rusage used;
	uint64_t ns = 0;

	if (getrusage(RUSAGE_SELF, &used))
		return;
	ns += (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * NS_PER_SEC;
	ns += (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
	samples__add_ns(s, SAMPLE_COUNTER, "process_cpu_seconds_total",
			"time of CPUs that notail has used", ns);
}

/* Since 1970: the clock's now, less the time since the process began. */
static void add_start(struct samples *s, unsigned long long start_ticks)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK), real_ns = clock__real_ns();
	uint64_t began_ns = start_ticks / hz * NS_PER_SEC + start_ticks % hz * (NS_PER_SEC / hz);
	uint64_t age_ns = clock__boot_ns() - MIN(began_ns, clock__boot_ns());

	samples__add_ns(s, SAMPLE_GAUGE, "process_start_time_seconds",
			"when the process began, Unix time", real_ns - MIN(age_ns, real_ns));
}

static void add_stat(struct samples *s)
{
	char text[1024], *rest;
	unsigned long long start_ticks, vsize;
	long rss, threads;

	if (!read_file("/proc/self/stat", text, sizeof(text)))
		return;
	rest = strrchr(text, ')'); /* a name may have blanks in it */
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			    "%ld %*d %llu %llu %ld",
			    &threads, &start_ticks, &vsize, &rss) != 4)
		return;
	samples__add(s, SAMPLE_GAUGE, "process_resident_memory_bytes",
		     "memory in use, with what is touched of the ring",
		     (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE));
	samples__add(s, SAMPLE_GAUGE, "process_virtual_memory_bytes", "address space", vsize);
	samples__add(s, SAMPLE_GAUGE, "process_threads", "threads", (uint64_t)threads);
	add_start(s, start_ticks);
}

static void add_files(struct samples *s)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	uint64_t n = 0;

	if (dir) {
		for (struct dirent *e; (e = readdir(dir));)
			n += *e->d_name != '.';
		closedir(dir);
		/* The directory itself was one of them. */
		samples__add(s, SAMPLE_GAUGE, "process_open_fds", "open file descriptors", n - 1);
	}
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		samples__add(s, SAMPLE_GAUGE, "process_max_fds", "most of them that there may be",
			     limit.rlim_cur);
}

void process_samples__add(struct samples *s)
{
	add_cpu(s);
	add_stat(s);
	add_files(s);
}
