/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a configuration: all of it, each with its place, as
 * `file:line:column: path: what, expected what`. Bounded: after DIAG_MAX entries only counted.
 */
#ifndef NOTAIL_CONFIG_DIAG_H
#define NOTAIL_CONFIG_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

#define DIAG_MAX 200

struct buf;
struct diag;
struct node;

/* `file` is copied: the name that messages begin with. */
int diag__new(struct diag **ret, const char *file);
void diag__free(struct diag *d); /* NULL is fine */

/* `at` NULL: of the whole file. The path is made from the node and its parents. */
void diag__error(struct diag *d, const struct node *at, const char *fmt, ...) _printf_(3, 4);
void diag__warn(struct diag *d, const struct node *at, const char *fmt, ...) _printf_(3, 4);
/* Without a node: the reader's own errors. Line and column from 1; 0: none. */
void diag__error_at(struct diag *d, unsigned line, unsigned column, const char *fmt, ...)
	_printf_(4, 5);

/* Appends the node's path: `clients[0].url`. 0 or -ENOMEM. */
int diag__path(struct buf *b, const struct node *at);

size_t diag__errors(const struct diag *d);
size_t diag__warnings(const struct diag *d);
/* In the order of the file, one line each, `error: ` or `warning: ` before the text of warnings
 * only. */
void diag__print(const struct diag *d, FILE *out);

#endif
