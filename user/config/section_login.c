/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one side shows the other who it is, and what sections have of it in common: basic_auth,
 * authorization, tls_config, oauth2.
 */
#include "config/sections.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "config/config.h"
#include "config/values.h"
#include "io/http.h"
#include "io/server_name.h"

static const struct field BASIC_AUTH_FIELDS[] = {
	FIELD(struct config_basic_auth, username, FIELD_STRING, .doc = "The user's name."),
	FIELD(struct config_basic_auth, username_file, FIELD_STRING,
	      .doc = "A file that has the user's name."),
	FIELD(struct config_basic_auth, password, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "The password itself; better in a file."),
	FIELD(struct config_basic_auth, password_file, FIELD_STRING,
	      .doc = "A file that has the password."),
	{0},
};

static void check_basic_auth(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_basic_auth *a = object;

	if (a->username && a->username_file)
		diag__error(diag, node__get(node, "username_file"),
			    "stands beside username, expected one of the two");
	if (!a->username && !a->username_file && (a->password || a->password_file))
		diag__error(diag, node, "username is missing, expected a string");
	if (a->password && a->password_file)
		diag__error(diag, node__get(node, "password_file"),
			    "stands beside password, expected one of the two");
}

const struct schema config_basic_auth_schema = {
	.name = "basic_auth",
	.size = sizeof(struct config_basic_auth),
	.fields = BASIC_AUTH_FIELDS,
	.node_offset = offsetof(struct config_basic_auth, node),
	.check = check_basic_auth,
};

static const struct field AUTHORIZATION_FIELDS[] = {
	FIELD(struct config_authorization, type, FIELD_STRING,
	      .doc = "The word before the credentials, Bearer where it is not said."),
	FIELD(struct config_authorization, credentials, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "The credentials themselves; better in a file."),
	FIELD(struct config_authorization, credentials_file, FIELD_STRING,
	      .doc = "A file that has them, read again when it changes."),
	{0},
};

static void check_authorization(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_authorization *a = object;

	if (a->credentials && a->credentials_file)
		diag__error(diag, node__get(node, "credentials_file"),
			    "stands beside credentials, expected one of the two");
	if (a->type && !strcasecmp(a->type, "basic"))
		diag__error(diag, node__get(node, "type"), "\"%s\", expected basic_auth for that",
			    a->type);
	else if (a->type && *a->type && !values__is_name(a->type))
		diag__error(diag, node__get(node, "type"),
			    "expected a word without control characters");
}

const struct schema config_authorization_schema = {
	.name = "authorization",
	.size = sizeof(struct config_authorization),
	.fields = AUTHORIZATION_FIELDS,
	.node_offset = offsetof(struct config_authorization, node),
	.check = check_authorization,
};

static const char *const TLS_VERSIONS[] = {"auto", "TLS10", "TLS11", "TLS12", "TLS13", NULL};

static const struct field TLS_FIELDS[] = {
	FIELD(struct config_tls, ca_file, FIELD_STRING,
	      .doc = "Certificates to trust, in PEM, instead of the host's."),
	FIELD(struct config_tls, cert_file, FIELD_STRING,
	      .doc = "notail's own certificate, in PEM."),
	FIELD(struct config_tls, key_file, FIELD_STRING, .doc = "Its key, in PEM."),
	FIELD(struct config_tls, ca, FIELD_STRING, .doc = "What ca_file would have."),
	FIELD(struct config_tls, cert, FIELD_STRING, .doc = "What cert_file would have."),
	FIELD(struct config_tls, key, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "What key_file would have."),
	FIELD(struct config_tls, server_name, FIELD_STRING,
	      .doc = "The name that the certificate must have, where it is not the URL's."),
	FIELD(struct config_tls, insecure_skip_verify, FIELD_BOOL, .dflt = "false",
	      .doc = "Take any certificate."),
	FIELD(struct config_tls, min_version, FIELD_ENUM, .names = TLS_VERSIONS, .dflt = "auto",
	      .doc = "No older TLS than this."),
	FIELD(struct config_tls, max_version, FIELD_ENUM, .names = TLS_VERSIONS, .dflt = "auto",
	      .doc = "No newer one."),
	{0},
};

static void check_tls(const void *object, const struct node *node, struct diag *diag)
{
	_cleanup_(server_name__free) struct server_name applied = {0};
	const struct config_tls *t = object;
	const struct {
		const char *name, *text, *file;
	} pairs[] = {
		{"ca", t->ca, t->ca_file},
		{"cert", t->cert, t->cert_file},
		{"key", t->key, t->key_file},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (pairs[i].text && pairs[i].file)
			diag__error(diag, node__get(node, pairs[i].name),
				    "stands beside %s_file, expected one of the two",
				    pairs[i].name);
	if (!(t->cert_file || t->cert) != !(t->key_file || t->key))
		diag__error(diag, node, "%s is missing, expected cert_file and key_file together",
			    t->cert_file || t->cert ? "key_file" : "cert_file");
	if (t->max_version && t->min_version > t->max_version)
		diag__error(diag, node__get(node, "min_version"),
			    "is over max_version, expected at most that");
	if (t->server_name && *t->server_name &&
	    server_name__apply("https://host", t->server_name, &applied))
		diag__error(diag, node__get(node, "server_name"),
			    "\"%s\", expected the name of a host, or an address", t->server_name);
}

const struct schema config_tls_schema = {
	.name = "tls_config",
	.size = sizeof(struct config_tls),
	.fields = TLS_FIELDS,
	.node_offset = offsetof(struct config_tls, node),
	.check = check_tls,
};

struct http_tls config__http_tls(const struct config_tls *t)
{
	return (struct http_tls){
		.ca_file = t->ca_file,
		.cert_file = t->cert_file,
		.key_file = t->key_file,
		.server_name = t->server_name,
		.ca = t->ca,
		.cert = t->cert,
		.key = t->key,
		.min_version = t->min_version ? 9 + t->min_version : 0,
		.max_version = t->max_version ? 9 + t->max_version : 0,
		.insecure = t->insecure_skip_verify,
	};
}

void section__check_url(const struct node *at, const char *url, const char *example,
			struct diag *diag)
{
	const char *why = "its user or password is malformed";
	_free_ char *bare = NULL, *userinfo = NULL;

	if (url && (http__check_url(url, &why) || http__split_userinfo(url, &bare, &userinfo)))
		diag__error(diag, at, "%s, expected a URL like %s", why, example);
}

/* Anything of it is said. */
bool section__is_oauth2(const struct config_oauth2 *o)
{
	return o->client_id || o->client_secret || o->client_secret_file || o->token_url;
}

static const struct field OAUTH2_FIELDS[] = {
	FIELD(struct config_oauth2, client_id, FIELD_STRING, .doc = "The client's name."),
	FIELD(struct config_oauth2, client_secret, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "Its secret; better in a file."),
	FIELD(struct config_oauth2, client_secret_file, FIELD_STRING,
	      .doc = "A file that has its secret, read for each token."),
	FIELD(struct config_oauth2, token_url, FIELD_STRING, .doc = "Who gives tokens."),
	FIELD(struct config_oauth2, scopes, FIELD_STRINGS, .doc = "What they are to be good for."),
	FIELD(struct config_oauth2, endpoint_params, FIELD_MAP, .flags = FIELD_SECRET,
	      .doc = "What else is said when one is asked for."),
	FIELD(struct config_oauth2, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates, of token_url."),
	FIELD(struct config_oauth2, proxy_url, FIELD_STRING,
	      .doc = "A proxy for that, in place of the environment's."),
	FIELD(struct config_oauth2, no_proxy, FIELD_STRING,
	      .doc = "Hosts that it is not for, by commas."),
	PROXIES(struct config_oauth2),
	{0},
};

static void check_oauth2(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_oauth2 *o = object;

	if (!section__is_oauth2(o))
		return;
	if (!o->client_id)
		diag__error(diag, node, "client_id is missing, expected a string");
	if (!o->token_url)
		diag__error(diag, node, "token_url is missing, expected a URL");
	if (o->client_secret && o->client_secret_file)
		diag__error(diag, node__get(node, "client_secret_file"),
			    "stands beside client_secret, expected one of the two");
	section__check_url(node__get(node, "token_url"), o->token_url,
			   "https://login.example.com/token", diag);
	section__check_url(node__get(node, "proxy_url"), o->proxy_url, "http://proxy:3128", diag);
}

const struct schema config_oauth2_schema = {
	.name = "oauth2",
	.size = sizeof(struct config_oauth2),
	.fields = OAUTH2_FIELDS,
	.node_offset = offsetof(struct config_oauth2, node),
	.check = check_oauth2,
};
