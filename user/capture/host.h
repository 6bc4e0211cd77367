/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What notail needs of the place where it runs before any program is loaded. Each check returns 0,
 * or -errno with one clause in ret_why that says what is missing and what to do.
 */
#ifndef NOTAIL_CAPTURE_HOST_H
#define NOTAIL_CAPTURE_HOST_H

#include <stddef.h>

int host__btf(char *ret_why, size_t size);
/* Warns where only the scan for what runs already lacks its capability. */
int host__capabilities(char *ret_why, size_t size);
int host__pid_namespace(char *ret_why, size_t size);
/* All of them: the first that fails. */
int host__check(char *ret_why, size_t size);

#endif
