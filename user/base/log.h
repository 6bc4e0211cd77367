/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notail's own messages, on stderr, one line each, never longer than 1 KiB of text, control
 * characters shown as `?`. Thread-safe. Log where a thing is decided, once; secrets never.
 *
 * What one place in the program says is held back and counted from the LOG_BURST-th time within
 * LOG_WINDOW_NS on, but for debugging. A reader of stderr that is stuck costs 100 ms at most, and
 * the message.
 */
#ifndef NOTAIL_BASE_LOG_H
#define NOTAIL_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* `notail: warn: text`; ts=, level= and msg=; the same as JSON. */
enum log_format { LOG_TEXT, LOG_LOGFMT, LOG_JSON };

#define LOG_BURST 20
#define LOG_WINDOW_NS (10 * 1000000000ull)

/* One place in the program that says something; zeroed at start. */
struct log_site {
	_Atomic uint64_t window_ns; /* when it began, CLOCK_BOOTTIME */
	_Atomic unsigned said;	    /* within it */
	_Atomic unsigned held_back; /* and not told of yet */
};

/* LOG_TEXT at start. */
void log__format(enum log_format format);
/* text, logfmt, json. -EINVAL for any other. */
int log__format_parse(const char *name, enum log_format *ret_format);
/* Messages that were held back, or that stderr did not take, ever. */
uint64_t log__suppressed(void);
uint64_t log__unwritten(void);
/* The least important level that is printed; LOG_INFO at start. */
void log__level(enum log_level level);
/* Levels by name: error, warn, info, debug. -EINVAL for any other. */
int log__level_parse(const char *name, enum log_level *ret_level);
bool log__enabled(enum log_level level);
/* As it is, however often. */
void log__print(enum log_level level, const char *fmt, ...) _printf_(2, 3);
void log__print_from(struct log_site *site, enum log_level level, const char *fmt, ...)
	_printf_(3, 4);

#define LOG_RECENT 16
#define LOG_RECENT_LEN 240

struct log_message {
	uint64_t real_ns;
	enum log_level level;
	char text[LOG_RECENT_LEN]; /* cut there; no control characters, any bytes otherwise */
};

/* The last warnings and errors, the newest first; returns how many. Any thread. */
size_t log__recent(struct log_message ret[LOG_RECENT]);

#define log_from_here(level, ...)                                \
	do {                                                     \
		static struct log_site log_site_;                \
                                                                 \
		log__print_from(&log_site_, level, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_from_here(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_from_here(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_from_here(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                      \
	do {                                                \
		if (log__enabled(LOG_DEBUG))                \
			log__print(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
