/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message is one write(2), so that lines of several threads, and of other programs on the same
 * stderr, stay whole. Texts from outside (names, answers of servers) are part of messages: control
 * characters in them must neither forge a line nor reach a terminal.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LINE_MAX_BYTES 1024 /* with the newline */

static const char *const names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static _Atomic int max_level = LOG_INFO;

/* Messages are few: a lock costs nothing here. */
static pthread_mutex_t recent_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_message recent[LOG_RECENT];
static size_t n_recent; /* ever */

void log__level(enum log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

int log__level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]))
			continue;
		*ret_level = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}

bool log__enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static void remember(enum log_level level, const char *text, int len)
{
	struct log_message *m;

	pthread_mutex_lock(&recent_lock);
	m = &recent[n_recent++ % LOG_RECENT];
	m->real_ns = clock__real_ns();
	m->level = level;
	snprintf(m->text, sizeof(m->text), "%.*s", len, text);
	pthread_mutex_unlock(&recent_lock);
}

size_t log__recent(struct log_message ret[LOG_RECENT])
{
	size_t n;

	pthread_mutex_lock(&recent_lock);
	n = MIN(n_recent, (size_t)LOG_RECENT);
	for (size_t i = 0; i < n; i++)
		ret[i] = recent[(n_recent - 1 - i) % LOG_RECENT];
	pthread_mutex_unlock(&recent_lock);
	return n;
}

void log__print(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 1];
	const char *word = level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warn: " : "";
	int saved = errno, start, len;
	va_list args;
	ssize_t n;

	if (!log__enabled(level))
		return;
	start = snprintf(line, sizeof(line), "notail: %s", word);
	va_start(args, fmt);
	errno = saved; /* for %m */
	len = vsnprintf(line + start, sizeof(line) - (size_t)start, fmt, args);
	va_end(args);
	len = start + MAX(len, 0);
	if (len > LINE_MAX_BYTES - 1) {
		len = LINE_MAX_BYTES - 1;
		memcpy(line + len - 3, "...", 3);
	}
	for (int i = start; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	if (level <= LOG_WARN)
		remember(level, line + start, len - start);
	line[len++] = '\n';
	do
		n = write(STDERR_FILENO, line, (size_t)len);
	while (n < 0 && errno == EINTR);
	errno = saved;
}
