/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message is one write(2), so that lines of several threads, and of other programs on the same
 * stderr, stay whole. Texts from outside (names, answers of servers) are part of messages: control
 * characters in them must neither forge a line nor reach a terminal.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#define LINE_MAX_BYTES 1024 /* as text, with the newline */
#define PREFIX "notail: "
#define PATIENCE_MS 100

/* Twice the text, if each byte is escaped, and what stands around it. */
#define ENCODED_MAX_BYTES (2 * LINE_MAX_BYTES + 128)

static const char *const names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static const char *const formats[] = {
	[LOG_TEXT] = "text",
	[LOG_LOGFMT] = "logfmt",
	[LOG_JSON] = "json",
};

static _Atomic int max_level = LOG_INFO;
static _Atomic int format = LOG_TEXT;
static _Atomic uint64_t suppressed, unwritten;

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

void log__format(enum log_format new)
{
	atomic_store_explicit(&format, (int)new, memory_order_relaxed);
}

int log__format_parse(const char *name, enum log_format *ret_format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(name, formats[i]))
			continue;
		*ret_format = (enum log_format)i;
		return 0;
	}
	return -EINVAL;
}

uint64_t log__suppressed(void)
{
	return atomic_load_explicit(&suppressed, memory_order_relaxed);
}

uint64_t log__unwritten(void)
{
	return atomic_load_explicit(&unwritten, memory_order_relaxed);
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

/* Whole, or not at all: a pipe that is ready has room for more than this. */
static void put_line(const char *line, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n = -1;

	if (poll(&p, 1, PATIENCE_MS) > 0) {
		do
			n = write(STDERR_FILENO, line, len);
		while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		atomic_fetch_add_explicit(&unwritten, 1, memory_order_relaxed);
}

static size_t escape(char *out, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			out[n++] = '\\';
		out[n++] = text[i];
	}
	return n;
}

static void put_encoded(enum log_level level, char *text, size_t len, bool json)
{
	char out[ENCODED_MAX_BYTES], ts[RFC3339_LEN + 1] = "";
	size_t n;

	clock__rfc3339(clock__real_ns(), ts);
	utf8__clean(text, len);
	n = (size_t)snprintf(out, sizeof(out),
			     json ? "{\"ts\":\"%.*s\",\"level\":\"%s\",\"msg\":\""
				  : "ts=%.*s level=%s msg=\"",
			     RFC3339_LEN, ts, names[level]);
	n += escape(out + n, text, len);
	n += (size_t)snprintf(out + n, sizeof(out) - n, json ? "\"}\n" : "\"\n");
	put_line(out, n);
}

/* `line` has room for the newline. */
static void put(enum log_level level, char *line, size_t start, size_t len)
{
	int how = atomic_load_explicit(&format, memory_order_relaxed);

	if (how == LOG_TEXT) {
		line[len++] = '\n';
		put_line(line, len);
	} else {
		put_encoded(level, line + start, len - start, how == LOG_JSON);
	}
}

static void print(enum log_level level, const char *fmt, va_list args, const char *more)
{
	const char *word = level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warn: " : "";
	size_t room = LINE_MAX_BYTES - strlen(more), start, len;
	char line[LINE_MAX_BYTES + 1];
	int saved = errno, n;

	start = (size_t)snprintf(line, sizeof(line), PREFIX "%s", word);
	errno = saved; /* for %m */
	n = vsnprintf(line + start, sizeof(line) - start, fmt, args);
	len = start + (size_t)MAX(n, 0);
	if (len > room - 1) {
		len = room - 1;
		memcpy(line + len - 3, "...", 3);
	}
	memcpy(line + len, more, strlen(more));
	len += strlen(more);
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	if (level <= LOG_WARN)
		remember(level, line + start, (int)(len - start));
	put(level, line, start, len);
	errno = saved;
}

void log__print(enum log_level level, const char *fmt, ...)
{
	va_list args;

	if (!log__enabled(level))
		return;
	va_start(args, fmt);
	print(level, fmt, args, "");
	va_end(args);
}

/* 0: it may speak; 1: it may, for the last time in this window; -1: it may not. Threads that come
 * at once may say one more or less. */
static int may_speak(struct log_site *site, unsigned *ret_held_back)
{
	uint64_t now_ns = clock__boot_ns(), since_ns = atomic_load(&site->window_ns);
	unsigned said;

	*ret_held_back = 0;
	if (!since_ns || now_ns - since_ns >= LOG_WINDOW_NS) {
		atomic_store(&site->window_ns, now_ns);
		atomic_store(&site->said, 1);
		*ret_held_back = atomic_exchange(&site->held_back, 0);
		return 0;
	}
	said = atomic_fetch_add(&site->said, 1) + 1;
	if (said <= LOG_BURST)
		return said == LOG_BURST;
	atomic_fetch_add(&site->held_back, 1);
	atomic_fetch_add_explicit(&suppressed, 1, memory_order_relaxed);
	return -1;
}

void log__print_from(struct log_site *site, enum log_level level, const char *fmt, ...)
{
	unsigned held_back;
	va_list args;
	int may, saved = errno;

	if (!log__enabled(level))
		return;
	may = may_speak(site, &held_back);
	if (may < 0)
		return;
	if (held_back)
		log__print(level, "%u more suppressed, of the kind that follows", held_back);
	errno = saved;
	va_start(args, fmt);
	print(level, fmt, args, may ? " (more of this kind is suppressed for a while)" : "");
	va_end(args);
}
