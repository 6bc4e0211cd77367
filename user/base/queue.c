/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of pointers under a mutex. The eventfd is written behind the mutex, or the thread that it
 * wakes would meet it locked and sleep again. So an item may be gone before its write comes: only a
 * pop that finds nothing reads the eventfd, and one that is too early for the write is followed by
 * another, which the write brings about.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/queue.h"
#include "base/util.h"

struct queue {
	pthread_mutex_t lock;
	int fd;
	size_t max_items;
	size_t head; /* the oldest item */
	size_t n_items;
	void *items[];
};

int queue__new(struct queue **ret, size_t max_items)
{
	struct queue *q;
	size_t size;
	int err;

	if (!max_items)
		return -EINVAL;
	if (__builtin_mul_overflow(max_items, sizeof(q->items[0]), &size) ||
	    __builtin_add_overflow(size, sizeof(*q), &size))
		return -ENOMEM;
	q = calloc(1, size);
	if (!q)
		return -ENOMEM;
	q->max_items = max_items;
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0) {
		err = -errno;
		free(q);
		return err;
	}
	pthread_mutex_init(&q->lock, NULL);
	*ret = q;
	return 0;
}

void queue__free(struct queue *q, void (*free_item)(void *item))
{
	void *item;

	if (!q)
		return;
	while ((item = queue__pop(q)))
		if (free_item)
			free_item(item);
	close(q->fd);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

int queue__push(struct queue *q, void *item)
{
	int err = -EAGAIN;
	bool first = false;

	pthread_mutex_lock(&q->lock);
	if (q->n_items < q->max_items) {
		q->items[(q->head + q->n_items) % q->max_items] = item;
		first = !q->n_items++;
		err = 0;
	}
	pthread_mutex_unlock(&q->lock);
	if (first)
		eventfd_write(q->fd, 1);
	return err;
}

void *queue__pop(struct queue *q)
{
	void *item = NULL;
	eventfd_t value;

	pthread_mutex_lock(&q->lock);
	if (q->n_items) {
		item = q->items[q->head];
		q->head = (q->head + 1) % q->max_items;
		q->n_items--;
	} else {
		eventfd_read(q->fd, &value);
	}
	pthread_mutex_unlock(&q->lock);
	return item;
}

size_t queue__len(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->n_items;
	pthread_mutex_unlock(&q->lock);
	return n;
}

int queue__fd(const struct queue *q)
{
	return q->fd;
}
