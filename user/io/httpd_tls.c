/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a file is another one is seen by its inode, size and times, at most once a second, when
 * somebody connects. Files are replaced one after the other: a pair that does not fit is tried
 * again with the next connection.
 */
#include "io/httpd_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

#define LOOK_NS NS_PER_SEC
#define FILES 3

struct version {
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct httpd_tls {
	struct httpd_tls_opts opts;
	SSL_CTX *ctx;
	struct version files[FILES];
	uint64_t looked_ns;
};

static void ssl_ctx_free_p(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}

/* What OpenSSL says last is nearest to the cause. */
static int explain(const char *file, char *why, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		snprintf(why, size, "%s: %s", file, strerror(ERR_GET_REASON(code)));
	else
		snprintf(why, size, "%s: %s", file, reason ? reason : "no PEM");
	ERR_clear_error();
	return -EINVAL;
}

static int set_clients(const struct httpd_tls_opts *o, SSL_CTX *ctx, char *why, size_t size)
{
	int mode = SSL_VERIFY_NONE;
	STACK_OF(X509_NAME) * names;

	if (o->client_auth == HTTPD_CLIENT_IF_GIVEN)
		mode = SSL_VERIFY_PEER;
	else if (o->client_auth == HTTPD_CLIENT_REQUIRED)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, NULL);
	if (!o->client_ca_file)
		return 0;
	names = SSL_load_client_CA_file(o->client_ca_file);
	if (!names || SSL_CTX_load_verify_locations(ctx, o->client_ca_file, NULL) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return explain(o->client_ca_file, why, size);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	return 0;
}

static int load(const struct httpd_tls_opts *o, SSL_CTX **ret, char *why, size_t size)
{
	_cleanup_(ssl_ctx_free_p) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int err;

	ERR_clear_error();
	if (!ctx)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"notail", 6);
	if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
		return explain(o->cert_file, why, size);
	if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1)
		return explain(o->key_file, why, size);
	err = set_clients(o, ctx, why, size);
	if (!err)
		*ret = TAKE_PTR(ctx);
	return err;
}

static struct version version_of(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st))
		return (struct version){0};
	return (struct version){st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
}

static bool is_same(const struct version *a, const struct version *b)
{
	return a->ino == b->ino && a->size == b->size && a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void look(const struct httpd_tls *t, struct version ret[FILES])
{
	ret[0] = version_of(t->opts.cert_file);
	ret[1] = version_of(t->opts.key_file);
	ret[2] = version_of(t->opts.client_ca_file);
}

int httpd_tls__new(struct httpd_tls **ret, const struct httpd_tls_opts *opts, char *ret_why,
		   size_t size)
{
	struct httpd_tls *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->opts = *opts;
	look(t, t->files);
	err = load(opts, &t->ctx, ret_why, size);
	if (err)
		httpd_tls__free(t);
	else
		*ret = t;
	return err;
}

void httpd_tls__free(struct httpd_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

static void look_again(struct httpd_tls *t)
{
	struct version now[FILES];
	char why[512] = "";
	SSL_CTX *ctx;
	int err;

	if (clock__boot_ns() - t->looked_ns < LOOK_NS)
		return;
	t->looked_ns = clock__boot_ns();
	look(t, now);
	if (is_same(&now[0], &t->files[0]) && is_same(&now[1], &t->files[1]) &&
	    is_same(&now[2], &t->files[2]))
		return;
	err = load(&t->opts, &ctx, why, sizeof(why));
	if (err) {
		log_warn("the new certificate is not used: %s", *why ? why : strerror(-err));
		return;
	}
	SSL_CTX_free(t->ctx);
	t->ctx = ctx;
	memcpy(t->files, now, sizeof(now));
	log_info("%s was read again", t->opts.cert_file);
}

struct ssl_st *httpd_tls__session(struct httpd_tls *t)
{
	look_again(t);
	return SSL_new(t->ctx);
}
