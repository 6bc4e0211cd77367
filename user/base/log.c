/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message is one write(2), so that lines of several threads, and of other programs on the same
 * stderr, stay whole. Texts from outside (names, answers of servers) are part of messages: control
 * characters in them must neither forge a line nor reach a terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define LINE_MAX_BYTES 1024 /* with the newline */

static const char *const names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static _Atomic int max_level = LOG_INFO;

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
	line[len++] = '\n';
	do
		n = write(STDERR_FILENO, line, (size_t)len);
	while (n < 0 && errno == EINTR);
	errno = saved;
}
