// SPDX-License-Identifier: Apache-2.0
/* The ways of ways.c as a 32-bit program: other system call numbers, other pointers. Built with
 * -m32. */
#include "ways.c"
