// SPDX-License-Identifier: Apache-2.0
/* writer.c, linked against musl's shared library. */
#include "writer.c"
