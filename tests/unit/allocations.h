/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator that fails when told, for tests linked with --wrap of the functions below: what
 * notail's own code asks for, not what libraries ask for themselves.
 */
#ifndef TESTS_UNIT_ALLOCATIONS_H
#define TESTS_UNIT_ALLOCATIONS_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t allocations;	  /* since allocations__fail */
static size_t allocation_to_fail; /* its number from 1; 0: none */

/* From now on the `n`th allocation fails, and only that. */
static inline void allocations__fail(size_t n)
{
	allocations = 0;
	allocation_to_fail = n;
}

/* How many there were; none fails any more. */
static inline size_t allocations__end(void)
{
	allocation_to_fail = 0;
	return allocations;
}

static bool allocation_fails(void)
{
	if (++allocations != allocation_to_fail)
		return false;
	errno = ENOMEM;
	return true;
}

#define WRAPPED(type, name, parameters, arguments) \
	type __real_##name parameters;             \
	type __wrap_##name parameters;             \
	type __wrap_##name parameters              \
	{                                          \
		if (allocation_fails())            \
			return NULL;               \
		return __real_##name arguments;    \
	}

WRAPPED(void *, malloc, (size_t size), (size))
WRAPPED(void *, calloc, (size_t n, size_t size), (n, size))
WRAPPED(void *, realloc, (void *old, size_t size), (old, size))
WRAPPED(void *, reallocarray, (void *old, size_t n, size_t size), (old, n, size))
WRAPPED(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAPPED(char *, strdup, (const char *s), (s))
WRAPPED(char *, strndup, (const char *s, size_t n), (s, n))
WRAPPED(FILE *, open_memstream, (char **text, size_t *len), (text, len))

int __wrap_asprintf(char **ret, const char *format, ...);
int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int n;

	if (allocation_fails())
		return -1;
	va_start(args, format);
	n = vasprintf(ret, format, args);
	va_end(args);
	return n;
}

#endif
