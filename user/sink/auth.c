/* SPDX-License-Identifier: Apache-2.0 */
/* The header is made anew from the file for each request: a push a second is not worth a watch. */
#include "sink/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define SECRET_MAX_BYTES 65536

struct auth {
	bool basic;	 /* else a token */
	char *username;	 /* NULL: in the file */
	char *user_file; /* NULL: none */
	char *type;	 /* of the token */
	char *secret;	 /* NULL: in the file */
	char *file;	 /* NULL: none */
	char *header;	 /* NULL: not made yet */
};

static int copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

bool auth__given(const struct auth_opts *opts)
{
	return opts->username || opts->username_file || opts->bearer_token ||
	       opts->bearer_token_file || opts->token_type;
}

int auth__new(struct auth **ret, const struct auth_opts *opts)
{
	bool basic = opts->username || opts->username_file;
	struct auth *a;
	int err;

	if (!auth__given(opts)) {
		*ret = NULL;
		return 0;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->basic = basic;
	err = copy(&a->username, opts->username);
	if (!err)
		err = copy(&a->user_file, opts->username_file);
	if (!err)
		err = copy(&a->type,
			   opts->token_type && *opts->token_type ? opts->token_type : "Bearer");
	if (!err)
		err = copy(&a->secret, basic ? opts->password : opts->bearer_token);
	if (!err)
		err = copy(&a->file, basic ? opts->password_file : opts->bearer_token_file);
	if (!err && !a->secret && !a->file)
		err = copy(&a->secret, "");
	if (err) {
		auth__free(a);
		return err;
	}
	*ret = a;
	return 0;
}

void auth__free(struct auth *a)
{
	if (!a)
		return;
	free(a->username);
	free(a->user_file);
	free(a->type);
	free(a->secret);
	free(a->file);
	free(a->header);
	free(a);
}

int auth__read_secret(const char *path, struct buf *out)
{
	int err = buf__read_file(out, path, SECRET_MAX_BYTES);
	size_t n = 0;

	if (err == -EFBIG)
		return -EINVAL;
	if (err)
		return err;
	while (out->len && (unsigned char)out->data[out->len - 1] <= ' ')
		out->len--;
	while (n < out->len && (unsigned char)out->data[n] <= ' ')
		n++;
	out->len -= n;
	memmove(out->data, out->data + n, out->len);
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
			return -EINVAL;
	return out->len ? 0 : -EINVAL;
}

static int make_header(const struct auth *a, const struct buf *user, const struct buf *secret,
		       struct buf *out)
{
	_buf_ struct buf pair = {0};
	int err;

	if (!a->basic) {
		err = buf__append_str(out, "Authorization: ");
		if (!err)
			err = buf__append_str(out, a->type);
		if (!err && secret->len)
			err = buf__append(out, " ", 1);
		if (!err)
			err = buf__append(out, secret->data, secret->len);
		return err ? err : buf__append(out, "", 1);
	}
	err = buf__append(&pair, user->data, user->len);
	if (!err)
		err = buf__append(&pair, ":", 1);
	if (!err)
		err = buf__append(&pair, secret->data, secret->len);
	if (!err)
		err = buf__append_str(out, "Authorization: Basic ");
	if (!err)
		err = buf__append_base64(out, pair.data, pair.len);
	return err ? err : buf__append(out, "", 1);
}

int auth__header(struct auth *a, const char **ret)
{
	_buf_ struct buf user = {0}, secret = {0}, header = {0};
	const bool again = a->file || a->user_file || !a->header;
	int err = 0;

	if (a->file)
		err = auth__read_secret(a->file, &secret);
	else if (again)
		err = buf__append_str(&secret, a->secret);
	if (!err && a->user_file)
		err = auth__read_secret(a->user_file, &user);
	else if (!err && again && a->username)
		err = buf__append_str(&user, a->username);
	if (!err && again) {
		err = make_header(a, &user, &secret, &header);
		if (!err) {
			free(a->header);
			a->header = header.data;
			header = (struct buf){0};
		}
	}
	if (err && !a->header)
		return err;
	*ret = a->header;
	return 0;
}

const char *auth__file(const struct auth *a)
{
	return a->file ? a->file : a->user_file;
}
