/* SPDX-License-Identifier: Apache-2.0 */
/* Where an executable's thread-local variables lie. Pure: bounded reads of one file. */
#ifndef NOTAIL_CAPTURE_ELF_TLS_H
#define NOTAIL_CAPTURE_ELF_TLS_H

#include <stdint.h>

/*
 * How far from the thread pointer a process that executes the ELF file `fd` has the thread-local
 * variable of 8 bytes or more that the file exports as `symbol`. Never 0. -ENOENT: it exports none;
 * -ENOEXEC: it is no executable of this machine, or a damaged one; others: reading failed.
 */
int elf_tls__offset(int fd, const char *symbol, int64_t *ret);

#endif
