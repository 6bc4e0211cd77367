/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notail's own messages, on stderr, one line each, never longer than 1 KiB, control characters
 * shown as `?`. Thread-safe. Log where a thing is decided, once; secrets never.
 */
#ifndef NOTAIL_BASE_LOG_H
#define NOTAIL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The least important level that is printed; LOG_INFO at start. */
void log__level(enum log_level level);
/* Levels by name: error, warn, info, debug. -EINVAL for any other. */
int log__level_parse(const char *name, enum log_level *ret_level);
bool log__enabled(enum log_level level);
void log__print(enum log_level level, const char *fmt, ...) _printf_(2, 3);

#define LOG_RECENT 16
#define LOG_RECENT_LEN 240

struct log_message {
	uint64_t real_ns;
	enum log_level level;
	char text[LOG_RECENT_LEN]; /* cut there; no control characters, any bytes otherwise */
};

/* The last warnings and errors, the newest first; returns how many. Any thread. */
size_t log__recent(struct log_message ret[LOG_RECENT]);

#define log_error(...) log__print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log__print(LOG_WARN, __VA_ARGS__)
#define log_info(...) log__print(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                      \
	do {                                                \
		if (log__enabled(LOG_DEBUG))                \
			log__print(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
