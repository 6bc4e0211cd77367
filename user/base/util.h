/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup attributes, ownership transfer and small arithmetic that every room uses. No state. */
#ifndef NOTAIL_BASE_UTIL_H
#define NOTAIL_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _unused_ __attribute__((unused))

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _free_ _cleanup_(free_p)
#define _close_ _cleanup_(close_p)
#define _fclose_ _cleanup_(fclose_p)

/* Hands a pointer over: the variable is NULL afterwards and its cleanup does nothing. */
#define TAKE_PTR(p)                        \
	({                                 \
		__typeof__(p) *_pp = &(p); \
		__typeof__(p) _v = *_pp;   \
		*_pp = NULL;               \
		_v;                        \
	})

#define TAKE_FD(fd)               \
	({                        \
		int *_pf = &(fd); \
		int _v = *_pf;    \
		*_pf = -1;        \
		_v;               \
	})

#endif
