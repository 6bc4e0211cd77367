// SPDX-License-Identifier: Apache-2.0
/*
 * A note names the process and the program (`image`) that the kernel's map has nothing of; the
 * answer, "none" too, goes into the map under that image. So what a process was found to have is
 * never taken for what it has after an exec, nor for another process of the same pid: a note of an
 * earlier image that is answered by a later program's file leaves an entry that fits neither.
 *
 * A file system may take forever to answer, and a container may bring its own (FUSE): files are
 * read by a thread for nothing else, and one that hangs is left behind. It takes a pause after each
 * process, so that hosts with many short ones pay little for it.
 */
#include "capture/contexts.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/privileges.h"
#include "base/util.h"
#include "capture/elf_tls.h"
#include "capture/maps.h"

#define MAX_ASKED 64
#define PAUSE_US 2000 /* at most 500 processes a second */
#define PATIENCE_S 1  /* at the end */

struct asked {
	uint32_t tgid, image;
};

struct contexts {
	pthread_t thread;
	pthread_mutex_t lock; /* of the four below */
	pthread_cond_t changed;
	struct asked asked[MAX_ASKED]; /* the first is being looked at */
	size_t n_asked;
	bool stop;
	int map_fd;
};

/* *ret is 0 where the program has none, whatever the reason. */
static int find_offset(uint32_t tgid, int64_t *ret)
{
	_close_ int fd = -1;
	char path[64];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "/proc/%u/exe", tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret = 0;
	r = S_ISREG(st.st_mode) ? elf_tls__offset(fd, CONTEXTS_SYMBOL, ret) : -ENOEXEC;
	if (r == 0)
		log_debug("process %u publishes its threads' contexts, at %lld", tgid,
			  (long long)*ret);
	return 0;
}

static void look(struct contexts *c, const struct asked *asked)
{
	struct nt_context context = {.image = asked->image};
	int64_t offset = 0;
	int r = find_offset(asked->tgid, &offset);

	/* It is over, or the next note may have more luck. */
	if (r < 0 && r != -EACCES && r != -EPERM)
		return;
	context.offset = offset;
	if (map__update(c->map_fd, &asked->tgid, &context, BPF_ANY) < 0)
		log_debug("the context of process %u: %s", asked->tgid, strerror(errno));
}

static void *run(void *arg)
{
	struct contexts *c = arg;
	int err = privileges__drop(false);

	if (err)
		log_debug("contexts: capabilities are kept: %s", strerror(-err));
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct asked asked = c->asked[0];

		if (!c->n_asked) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		look(c, &asked);
		usleep(PAUSE_US);
		pthread_mutex_lock(&c->lock);
		c->n_asked--;
		memmove(c->asked, c->asked + 1, c->n_asked * sizeof(*c->asked));
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int start(struct contexts *c)
{
	sigset_t all, before;
	int r;

	/* Signals are other threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int contexts__new(struct contexts **ret, int map_fd)
{
	struct contexts *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	/* Its own: the thread may be left behind. */
	c->map_fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 0);
	r = c->map_fd < 0 ? -errno : start(c);
	if (r < 0) {
		close_p(&c->map_fd);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void contexts__free(struct contexts *c)
{
	struct timespec until;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	if (pthread_timedjoin_np(c->thread, NULL, &until) != 0) {
		pthread_detach(c->thread);
		return;
	}
	close_p(&c->map_fd);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void contexts__look(struct contexts *c, const struct nt_note *note)
{
	const struct asked asked = {.tgid = note->pid, .image = note->image};
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->n_asked; i++) {
		if (memcmp(&c->asked[i], &asked, sizeof(asked)) == 0)
			break;
	}
	if (i == c->n_asked && i < MAX_ASKED) {
		c->asked[c->n_asked++] = asked;
		pthread_cond_signal(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}
