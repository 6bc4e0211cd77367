// SPDX-License-Identifier: Apache-2.0
/* The ways of ways.c with musl in place of glibc: other stdio, other threads. Built by musl-gcc. */
#include "ways.c"
