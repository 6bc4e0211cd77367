/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Authorization header of a client. What lies in a file is read each time that it is asked for:
 * tokens are renewed in place. Neither header nor secret is ever logged.
 */
#ifndef NOTAIL_SINK_AUTH_H
#define NOTAIL_SINK_AUTH_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* A user with one of the passwords, or one of the tokens; all NULL: none. */
struct auth_opts {
	const char *username, *username_file, *password, *password_file;
	const char *bearer_token, *bearer_token_file;
	const char *token_type; /* in place of Bearer ("" too), and the token may be missing */
};

struct auth;

/* Any of it is said. */
bool auth__given(const struct auth_opts *opts);
/* Copies. *ret is NULL where there is nothing to say. 0 or -ENOMEM. */
int auth__new(struct auth **ret, const struct auth_opts *opts);
void auth__free(struct auth *a); /* NULL is fine */
/*
 * "Authorization: ...", valid until the next call. Where the file cannot be read now, what it had
 * before. -errno of the file, if it had nothing; -EINVAL: it is empty, too long or no text;
 * -ENOMEM.
 */
int auth__header(struct auth *a, const char **ret);
/* What is read; NULL: no file. */
const char *auth__file(const struct auth *a);
/* Appends what the file has, without the blanks and newlines around it. -errno of the file;
 * -EINVAL: it is empty, too long or no text; -ENOMEM. */
int auth__read_secret(const char *path, struct buf *out);

#endif
