/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of descriptors of its own: the first `n` from `first` on wait, or are at it. */
#include "spool/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privileges.h"
#include "base/util.h"
#include "spool/io.h"

#define FILES_MAX 64

struct syncer {
	const struct spool_io *io;
	syncer_failed_fn failed;
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int fds[FILES_MAX];
	unsigned first, n;
	bool stop;
};

static void *run(void *arg)
{
	struct syncer *s = arg;
	int err = privileges__drop(false), fd;

	if (err)
		log_debug("spool: capabilities are kept: %s", strerror(-err));
	pthread_mutex_lock(&s->lock);
	while (s->n || !s->stop) {
		if (!s->n) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		fd = s->fds[s->first];
		pthread_mutex_unlock(&s->lock);
		if (s->io->fdatasync(fd))
			s->failed(s->ctx, -errno);
		close(fd);
		pthread_mutex_lock(&s->lock);
		s->first = (s->first + 1) % FILES_MAX;
		s->n--;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer__new(struct syncer **ret, const struct spool_io *io, syncer_failed_fn failed, void *ctx)
{
	struct syncer *s = calloc(1, sizeof(*s));
	sigset_t all, before;
	int err;

	if (!s)
		return -ENOMEM;
	s->io = io;
	s->failed = failed;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	/* Signals are other threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		pthread_cond_destroy(&s->wake);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return err;
	}
	pthread_setname_np(s->thread, "notail-sync");
	*ret = s;
	return 0;
}

void syncer__free(struct syncer *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int syncer__add(struct syncer *s, int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	bool added;

	pthread_mutex_lock(&s->lock);
	added = own >= 0 && s->n < FILES_MAX;
	if (added) {
		s->fds[(s->first + s->n++) % FILES_MAX] = own;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (added)
		return 0;
	close_p(&own);
	return s->io->fdatasync(fd) ? -errno : 0;
}

bool syncer__busy(struct syncer *s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = s->n;
	pthread_mutex_unlock(&s->lock);
	return busy;
}
