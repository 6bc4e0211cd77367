/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of notail.yaml, and what they cannot say: checks between fields and files. A Promtail
 * file's own sections are in promtail.c.
 *
 * FIELD_LATER marks what has no effect yet; a section that gets one loses its mark, and the default
 * file (made from these tables) shows it from then on.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "capture/names.h"
#include "config/print.h"
#include "config/kubernetes.h"
#include "config/promtail.h"
#include "config/values.h"
#include "io/http.h"
#include "io/httpd.h"
#include "io/server_name.h"
#include "kube/source.h"
#include "kube/event_json.h"
#include "security/filter.h"
#include "process/relabel.h"
#include "spool/spool.h"

#define FILE_MAX_BYTES (16u << 20)
#define CLIENTS_MAX 16
#define HOUR_NS ((int64_t)3600 * NS_PER_SEC)

struct loaded {
	struct config config;
	struct arena arena;
	struct document *document;
	unsigned refs; /* besides the first */
};

static const char *const TAPS[] = {
	[TAP_AUTO] = "auto", [TAP_READ] = "read", [TAP_WRITE] = "write", NULL};
static const char *const HOOKS[] = {[HOOKS_AUTO] = "auto",
				    [HOOKS_FEXIT] = "fexit",
				    [HOOKS_MULTI] = "multi",
				    [HOOKS_SYSCALL] = "syscall",
				    NULL};
static const char *const ATTRIBUTIONS[] = {[ATTRIBUTION_STREAM] = "stream",
					   [ATTRIBUTION_LINE] = "line",
					   [ATTRIBUTION_OFF] = "off",
					   NULL};
static const char *const LEVELS[] = {[LOG_ERROR] = "error",
				     [LOG_WARN] = "warn",
				     [LOG_INFO] = "info",
				     [LOG_DEBUG] = "debug",
				     NULL};
static const char *const FORMATS[] = {
	[LOG_TEXT] = "text", [LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json", NULL};
static const char *const PROMTAIL_FORMATS[] = {
	"", [LOG_TEXT + 1] = "text", [LOG_LOGFMT + 1] = "logfmt", [LOG_JSON + 1] = "json", NULL};
static const char *const PROMTAIL_LEVELS[] = {"",
					      [LOG_ERROR + 1] = "error",
					      [LOG_WARN + 1] = "warn",
					      [LOG_INFO + 1] = "info",
					      [LOG_DEBUG + 1] = "debug",
					      NULL};
static const char *const SPOOL_FSYNCS[] = {[SPOOL_FSYNC_INTERVAL] = "interval",
					   [SPOOL_FSYNC_SEGMENT] = "segment",
					   [SPOOL_FSYNC_NONE] = "none",
					   NULL};
static const char *const SPOOL_ORDERS[] = {[SPOOL_OLDEST_FIRST] = "oldest_first",
					   [SPOOL_LIVE_FIRST] = "live_first",
					   [SPOOL_BACKFILL] = "backfill",
					   NULL};
const char *const config_presets[] = {[PRESET_AUTO] = "auto",
				      [PRESET_DOCKER] = "docker",
				      [PRESET_KUBERNETES] = "kubernetes",
				      [PRESET_ALLOY] = "alloy",
				      [PRESET_PROMTAIL] = "promtail",
				      [PRESET_STRICT] = "strict",
				      [PRESET_NONE] = "none",
				      NULL};
static const char *const POD_NAMES[] = {
	[POD_NAME_LABEL] = "label", [POD_NAME_METADATA] = "metadata", NULL};

#define IGNORED(s, key, ...)                                                                   \
	{                                                                                      \
		.name = (key), .type = FIELD_NODE, .offset = offsetof(s, ignored), __VA_ARGS__ \
	}

/* What Promtail has besides proxy_url and no_proxy. */
#define PROXIES(s)                                                               \
	IGNORED(s, "proxy_from_environment", .flags = FIELD_IGNORED,             \
		.doc = "the environment's are used where proxy_url is not set"), \
		IGNORED(s, "proxy_connect_header", .flags = FIELD_LATER)

/*
 * Clients
 */

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

static const struct schema BASIC_AUTH = {
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

static const struct schema AUTHORIZATION = {
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

static void check_url(const struct node *at, const char *url, const char *example,
		      struct diag *diag)
{
	const char *why = "its user or password is malformed";
	_free_ char *bare = NULL, *userinfo = NULL;

	if (url && (http__check_url(url, &why) || http__split_userinfo(url, &bare, &userinfo)))
		diag__error(diag, at, "%s, expected a URL like %s", why, example);
}

/* Anything of it is said. */
static bool is_oauth2(const struct config_oauth2 *o)
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

	if (!is_oauth2(o))
		return;
	if (!o->client_id)
		diag__error(diag, node, "client_id is missing, expected a string");
	if (!o->token_url)
		diag__error(diag, node, "token_url is missing, expected a URL");
	if (o->client_secret && o->client_secret_file)
		diag__error(diag, node__get(node, "client_secret_file"),
			    "stands beside client_secret, expected one of the two");
	check_url(node__get(node, "token_url"), o->token_url, "https://login.example.com/token",
		  diag);
	check_url(node__get(node, "proxy_url"), o->proxy_url, "http://proxy:3128", diag);
}

static const struct schema OAUTH2 = {
	.name = "oauth2",
	.size = sizeof(struct config_oauth2),
	.fields = OAUTH2_FIELDS,
	.node_offset = offsetof(struct config_oauth2, node),
	.check = check_oauth2,
};

static const struct field BACKOFF_FIELDS[] = {
	FIELD(struct config_backoff, min_period, FIELD_DURATION, .dflt = "500ms", .min = NS_PER_MS,
	      .max = HOUR_NS, .doc = "The first pause; each further one is up to twice as long."),
	FIELD(struct config_backoff, max_period, FIELD_DURATION, .dflt = "5m", .min = NS_PER_MS,
	      .max = 24 * HOUR_NS, .doc = "The longest pause."),
	FIELD(struct config_backoff, max_retries, FIELD_INT, .dflt = "0", .min = 0, .max = 1000000,
	      .doc = "Give a batch up after so many; 0: never."),
	{0},
};

static void check_backoff(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_backoff *b = object;

	if (b->min_period > b->max_period)
		diag__error(diag, node, "min_period is over max_period, expected at most that");
	if (b->max_retries)
		diag__warn(diag, node__get(node, "max_retries"),
			   "lines are lost after %lld tries; without it notail tries until "
			   "Loki has them",
			   (long long)b->max_retries);
}

static const struct schema BACKOFF = {
	.name = "backoff_config",
	.size = sizeof(struct config_backoff),
	.fields = BACKOFF_FIELDS,
	.check = check_backoff,
};

static const struct field CLIENT_FIELDS[] = {
	FIELD(struct config_client, url, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .example = "http://localhost:3100",
	      .doc = "Loki's address, with or without /loki/api/v1/push; a user and password may "
		     "stand in it."),
	FIELD(struct config_client, name, FIELD_STRING,
	      .doc = "What the status page and metrics call it."),
	FIELD(struct config_client, tenant_id, FIELD_STRING,
	      .doc = "Loki's tenant (X-Scope-OrgID)."),
	FIELD(struct config_client, basic_auth, FIELD_OBJECT, .object = &BASIC_AUTH,
	      .doc = "User and password."),
	FIELD(struct config_client, bearer_token, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "A token itself; better in a file."),
	FIELD(struct config_client, bearer_token_file, FIELD_STRING,
	      .doc = "A file that has a token, read again when it changes."),
	FIELD(struct config_client, authorization, FIELD_OBJECT, .object = &AUTHORIZATION,
	      .doc = "An Authorization header of any type."),
	FIELD(struct config_client, oauth2, FIELD_OBJECT, .object = &OAUTH2,
	      .doc = "Tokens by OAuth 2's client credentials."),
	FIELD(struct config_client, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates."),
	FIELD(struct config_client, proxy_url, FIELD_STRING, .example = "null",
	      .doc = "A proxy in place of the environment's, such as http://proxy:3128."),
	FIELD(struct config_client, no_proxy, FIELD_STRING,
	      .doc = "Hosts that it is not for, by commas."),
	FIELD(struct config_client, headers, FIELD_MAP, .flags = FIELD_SECRET,
	      .doc = "Headers of each request."),
	FIELD(struct config_client, batchwait, FIELD_DURATION, .dflt = "1s", .min = NS_PER_MS,
	      .max = 300 * (int64_t)NS_PER_SEC,
	      .doc = "Push a line at the latest so long after it came."),
	FIELD(struct config_client, batchsize, FIELD_SIZE, .dflt = "1MiB", .min = 1024,
	      .max = 64 << 20, .doc = "Push when so much has come."),
	FIELD(struct config_client, backoff_config, FIELD_OBJECT, .object = &BACKOFF,
	      .doc = "Pauses between tries, jittered."),
	FIELD(struct config_client, timeout, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = HOUR_NS, .doc = "How long a push may take."),
	FIELD(struct config_client, external_labels, FIELD_MAP,
	      .doc = "Labels of every line that goes to this client."),
	FIELD(struct config_client, max_in_flight, FIELD_INT, .dflt = "4", .min = 1, .max = 64,
	      .doc = "Pushes that are under way at once; those of one stream go one by one."),
	FIELD(struct config_client, drop_rate_limited_batches, FIELD_BOOL, .dflt = "false",
	      .doc = "Give up what Loki answers with 429."),
	PROXIES(struct config_client),
	IGNORED(struct config_client, "http_headers", .flags = FIELD_LATER),
	IGNORED(struct config_client, "follow_redirects", .flags = FIELD_IGNORED,
		.doc = "redirects are not followed"),
	IGNORED(struct config_client, "enable_http2", .flags = FIELD_IGNORED,
		.doc = "it is negotiated"),
	{0},
};

static void check_logins(const struct config_client *c, struct diag *diag)
{
	const struct config_authorization *a = &c->authorization;
	const struct {
		bool given;
		const struct node *node;
		const char *name;
	} ways[] = {
		{c->bearer_token || c->bearer_token_file, NULL, "a bearer token"},
		{c->basic_auth.username || c->basic_auth.username_file, c->basic_auth.node,
		 "basic_auth"},
		{a->type || a->credentials || a->credentials_file, a->node, "authorization"},
		{is_oauth2(&c->oauth2), c->oauth2.node, "oauth2"},
	};
	const char *other = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!ways[i].given)
			continue;
		if (other)
			diag__error(diag, ways[i].node, "stands beside %s, expected one of the two",
				    other);
		other = other ? other : ways[i].name;
	}
}

static void check_client(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_client *c = object;

	check_url(node__get(node, "url"), c->url, "http://localhost:3100", diag);
	check_url(node__get(node, "proxy_url"), c->proxy_url, "http://proxy:3128", diag);
	if (c->bearer_token && c->bearer_token_file)
		diag__error(diag, node__get(node, "bearer_token_file"),
			    "stands beside bearer_token, expected one of the two");
	check_logins(c, diag);
	if (c->tenant_id && !values__is_name(c->tenant_id))
		diag__error(diag, node__get(node, "tenant_id"),
			    "expected a name without control characters");
	for (size_t i = 0; i < c->headers.n; i++)
		if (!values__is_name(c->headers.items[i].name) ||
		    !values__is_name(c->headers.items[i].value) ||
		    strpbrk(c->headers.items[i].name, ": "))
			diag__error(diag, c->headers.items[i].node,
				    "malformed, expected a header's name and value");
}

static const struct schema CLIENT = {
	.name = "client",
	.size = sizeof(struct config_client),
	.fields = CLIENT_FIELDS,
	.node_offset = offsetof(struct config_client, node),
	.check = check_client,
};

/*
 * The other sections
 */

static const char *const CLIENT_AUTHS[] = {[CLIENT_AUTH_AUTO] = "auto",
					   [CLIENT_AUTH_NONE] = "NoClientCert",
					   [CLIENT_AUTH_IF_GIVEN] = "VerifyClientCertIfGiven",
					   [CLIENT_AUTH_REQUIRED] = "RequireAndVerifyClientCert",
					   NULL};

static const struct field SERVER_TLS_FIELDS[] = {
	FIELD(struct config_server_tls, cert_file, FIELD_STRING,
	      .doc = "The certificate and its chain, in PEM, read again when it changes."),
	FIELD(struct config_server_tls, key_file, FIELD_STRING, .doc = "Its key, in PEM."),
	FIELD(struct config_server_tls, client_ca_file, FIELD_STRING,
	      .doc = "Whose certificates clients must have, in PEM."),
	FIELD(struct config_server_tls, client_auth_type, FIELD_ENUM, .names = CLIENT_AUTHS,
	      .dflt = "auto",
	      .doc = "What is asked of clients; auto: a certificate where client_ca_file is set."),
	{0},
};

static void check_server_tls(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_server_tls *t = object;

	if (!t->cert_file != !t->key_file)
		diag__error(diag, node, "%s is missing, expected cert_file and key_file together",
			    t->cert_file ? "key_file" : "cert_file");
	else if (!t->cert_file && (t->client_ca_file || t->client_auth_type))
		diag__error(diag, node, "cert_file is missing, expected cert_file and key_file");
	if (t->client_auth_type > CLIENT_AUTH_NONE && !t->client_ca_file)
		diag__error(diag, node, "client_ca_file is missing, expected one to verify with");
}

static const struct schema SERVER_TLS = {
	.name = "http_tls_config",
	.size = sizeof(struct config_server_tls),
	.fields = SERVER_TLS_FIELDS,
	.node_offset = offsetof(struct config_server_tls, node),
	.check = check_server_tls,
};

static const struct field SERVER_FIELDS[] = {
	FIELD(struct config_server, listen, FIELD_STRING, .dflt = SERVER_DEFAULT_LISTEN,
	      .doc = "Address of the status page, its API and the metrics; off: none."),
	FIELD(struct config_server, metrics_listen, FIELD_STRING, .example = "null",
	      .doc = "An address with /metrics, /ready and /healthz alone, such as 0.0.0.0:9465."),
	FIELD(struct config_server, enable_runtime_reload, FIELD_BOOL, .dflt = "false",
	      .doc = "POST /-/reload reads the configuration again, POST /-/log-level?level=debug "
		     "changes log.level."),
	FIELD(struct config_server, http_tls_config, FIELD_OBJECT, .object = &SERVER_TLS,
	      .doc = "TLS, of both addresses."),
	FIELD(struct config_server, basic_auth, FIELD_OBJECT, .object = &BASIC_AUTH,
	      .doc = "Who may ask, of both addresses; /ready and /healthz are open."),
	FIELD(struct config_server, log_level, FIELD_ENUM, .names = PROMTAIL_LEVELS,
	      .flags = FIELD_HIDDEN, .doc = "The same as log.level."),
	FIELD(struct config_server, log_format, FIELD_ENUM, .names = PROMTAIL_FORMATS,
	      .flags = FIELD_HIDDEN, .doc = "The same as log.format."),
	FIELD(struct config_server, http_listen_address, FIELD_STRING, .flags = FIELD_HIDDEN,
	      .doc = "See listen."),
	FIELD(struct config_server, http_listen_port, FIELD_INT, .flags = FIELD_HIDDEN, .min = 0,
	      .max = 65535, .doc = "See listen."),
	IGNORED(struct config_server, "http_path_prefix", .flags = FIELD_LATER),
	IGNORED(struct config_server, "external_url", .flags = FIELD_IGNORED),
	FIELD(struct config_server, disable, FIELD_BOOL, .flags = FIELD_HIDDEN, .dflt = "false",
	      .doc = "See listen."),
	IGNORED(struct config_server, "profiling_enabled", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "health_check_target", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "register_instrumentation", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "graceful_shutdown_timeout", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "http_server_read_timeout", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "http_server_write_timeout", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "http_server_idle_timeout", .flags = FIELD_IGNORED),
	IGNORED(struct config_server, "grpc_listen_address", .flags = FIELD_IGNORED,
		.doc = "there is no gRPC"),
	IGNORED(struct config_server, "grpc_listen_port", .flags = FIELD_IGNORED,
		.doc = "there is no gRPC"),
	IGNORED(struct config_server, "grpc_server_max_recv_msg_size", .flags = FIELD_IGNORED,
		.doc = "there is no gRPC"),
	IGNORED(struct config_server, "grpc_server_max_send_msg_size", .flags = FIELD_IGNORED,
		.doc = "there is no gRPC"),
	IGNORED(struct config_server, "grpc_server_max_concurrent_streams", .flags = FIELD_IGNORED,
		.doc = "there is no gRPC"),
	{0},
};

static void check_address(const struct node *at, const char *address, struct diag *diag)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (address && values__listens(address) && httpd__parse_address(address, &to, &len))
		diag__error(diag, at,
			    "malformed, expected ADDRESS:PORT such as 127.0.0.1:9464, or "
			    "off");
}

static void check_server(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_server *s = object;

	check_address(node__get(node, "listen"), s->listen, diag);
	check_address(node__get(node, "metrics_listen"), s->metrics_listen, diag);
}

static const struct schema SERVER = {
	.name = "server",
	.size = sizeof(struct config_server),
	.fields = SERVER_FIELDS,
	.check = check_server,
};

static const struct field CAPTURE_FIELDS[] = {
	FIELD(struct config_capture, containers, FIELD_STRINGS,
	      .doc = "Only containers of these names, shell patterns work, or whose ids begin so."),
	FIELD(struct config_capture, labels, FIELD_STRINGS,
	      .doc = "Only with all of these labels, each NAME=VALUE."),
	FIELD(struct config_capture, streams, FIELD_STRINGS, .doc = "Only stdout or only stderr."),
	FIELD(struct config_capture, cgroups, FIELD_STRINGS,
	      .doc = "Besides containers, what runs in these cgroups and below, such as "
		     "/system.slice/foo.service; * and ? match within a component."),
	FIELD(struct config_capture, exec_sessions, FIELD_BOOL, .dflt = "false",
	      .doc = "Sessions of docker exec too."),
	FIELD(struct config_capture, tap, FIELD_ENUM, .names = TAPS, .dflt = "auto",
	      .doc = "Copy at the runtime's read, or at the container's write."),
	FIELD(struct config_capture, hooks, FIELD_ENUM, .names = HOOKS, .dflt = "auto",
	      .doc = "Kernel hooks; notail probe says what this kernel has."),
	FIELD(struct config_capture, attribution, FIELD_ENUM, .names = ATTRIBUTIONS,
	      .dflt = "stream",
	      .doc = "Name the writing process and prove that nothing is missing; line does so in "
		     "races too."),
	FIELD(struct config_capture, rate_limit, FIELD_SIZE, .dflt = "0",
	      .doc = "Drop, and count, what a container writes over this in a second; 0: no "
		     "limit."),
	FIELD(struct config_capture, rate_burst, FIELD_SIZE, .dflt = "0",
	      .doc = "What it may write at once before that; 0: a second's worth."),
	FIELD(struct config_capture, ring_size, FIELD_SIZE, .dflt = "32MiB", .min = 1 << 20,
	      .max = 1 << 30, .doc = "Memory for what is not delivered yet: a power of two."),
	FIELD(struct config_capture, max_line_size, FIELD_SIZE, .dflt = "256KiB", .min = 16,
	      .max = 16 << 20, .doc = "Longer lines are cut there, and marked."),
	FIELD(struct config_capture, orphan_timeout, FIELD_DURATION, .dflt = "10m",
	      .doc = "How long the kernel captures without notail."),
	FIELD(struct config_capture, pins, FIELD_STRING,
	      .doc = "Where what captures outlives notail, on a BPF file system "
		     "(" CAPTURE_PINS "); off: nothing does."),
	FIELD(struct config_capture, detach_on_exit, FIELD_BOOL, .dflt = "false",
	      .doc = "Capture ends with notail, unless it is killed."),
	{0},
};

static const struct node *item(const struct node *node, const char *key, size_t i)
{
	const struct node *list = node__get(node, key);

	return list && list->kind == NODE_SEQUENCE && i < list->n_items ? list->items[i] : list;
}

static void check_selectors(const struct config_capture *c, const struct node *node,
			    struct diag *diag)
{
	const char *expected;

	for (size_t i = 0; i < c->containers.n; i++)
		if (!*c->containers.items[i])
			diag__error(diag, item(node, "containers", i),
				    "empty, expected a name, a pattern or an id");
	for (size_t i = 0; i < c->labels.n; i++)
		if (!strchr(c->labels.items[i], '=') || *c->labels.items[i] == '=')
			diag__error(diag, item(node, "labels", i), "\"%s\", expected NAME=VALUE",
				    c->labels.items[i]);
	for (size_t i = 0; i < c->streams.n; i++)
		if (strcmp(c->streams.items[i], "stdout") && strcmp(c->streams.items[i], "stderr"))
			diag__error(diag, item(node, "streams", i),
				    "\"%s\", expected stdout or stderr", c->streams.items[i]);
	for (size_t i = 0; i < c->cgroups.n; i++) {
		expected = names__check(c->cgroups.items[i]);
		if (expected)
			diag__error(diag, item(node, "cgroups", i), "\"%s\", expected %s",
				    c->cgroups.items[i], expected);
	}
	if (c->cgroups.n > CAPTURE_CGROUPS_MAX)
		diag__error(diag, node__get(node, "cgroups"), "%zu cgroups, expected at most %d",
			    c->cgroups.n, CAPTURE_CGROUPS_MAX);
}

static void check_capture(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_capture *c = object;

	check_selectors(c, node, diag);
	if (values__check_pins(c->pins))
		diag__error(diag, node__get(node, "pins"), "\"%s\", expected %s", c->pins,
			    values__check_pins(c->pins));
	if (c->ring_size & (c->ring_size - 1))
		diag__error(diag, node__get(node, "ring_size"),
			    "%llu bytes, expected a power of two from 1MiB to 1GiB",
			    (unsigned long long)c->ring_size);
	if (c->rate_limit && (c->rate_limit < CAPTURE_RATE_MIN || c->rate_limit > CAPTURE_RATE_MAX))
		diag__error(diag, node__get(node, "rate_limit"),
			    "out of range, expected 0 or 1KiB to 1GiB");
	if (c->rate_burst && (c->rate_burst < 1024 || c->rate_burst > CAPTURE_RATE_MAX))
		diag__error(diag, node__get(node, "rate_burst"),
			    "out of range, expected 0 or 1KiB to 1GiB");
	if (c->rate_burst && !c->rate_limit)
		diag__error(diag, node__get(node, "rate_burst"),
			    "stands alone, expected rate_limit beside it");
}

static const struct schema CAPTURE = {
	.name = "capture",
	.size = sizeof(struct config_capture),
	.fields = CAPTURE_FIELDS,
	.check = check_capture,
};

static const struct field DOCKER_FIELDS[] = {
	FIELD(struct config_docker, enabled, FIELD_BOOL, .dflt = "true",
	      .doc = "Ask Docker; without it lines carry ids only."),
	FIELD(struct config_docker, host, FIELD_STRING, .example = "unix:///var/run/docker.sock",
	      .doc = "Docker's API, unix:///PATH or tcp://HOST:PORT; podman's socket works too."),
	FIELD(struct config_docker, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates; with any, tcp:// is TLS."),
	{0},
};

static void check_docker(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_docker *d = object;
	const char *wrong = d->host ? values__check_docker_host(d->host) : NULL;

	if (wrong)
		diag__error(diag, node__get(node, "host"), "\"%s\": %s", d->host, wrong);
}

static const struct schema DOCKER = {
	.name = "docker",
	.size = sizeof(struct config_docker),
	.fields = DOCKER_FIELDS,
	.check = check_docker,
};

static const struct field ANNOTATIONS_FIELDS[] = {
	FIELD(struct config_annotations, enabled, FIELD_BOOL, .dflt = "true",
	      .flags = FIELD_RELOADED,
	      .doc = "Do what notail.io/exclude, /preset, /multiline and other agents' exclude "
		     "say."),
	FIELD(struct config_annotations, tenants, FIELD_STRINGS, .flags = FIELD_RELOADED,
	      .doc = "Tenants that notail.io/tenant may name, patterns like team-* too; none: it "
		     "is not obeyed."),
	{0},
};

static const struct schema ANNOTATIONS = {
	.name = "annotations",
	.size = sizeof(struct config_annotations),
	.fields = ANNOTATIONS_FIELDS,
};

static const struct field DISCOVERY_FIELDS[] = {
	FIELD(struct config_discovery, docker, FIELD_OBJECT, .object = &DOCKER,
	      .doc = "Where names and labels come from."),
	FIELD(struct config_discovery, kubernetes, FIELD_OBJECT,
	      .object = &config_kubernetes_schema, .doc = "What the cluster says of pods."),
	FIELD(struct config_discovery, bundle, FIELD_BOOL, .dflt = "true",
	      .doc = "Read containers' OCI bundles: names of pods and containers with no "
		     "permission."),
	FIELD(struct config_discovery, bundles, FIELD_STRINGS,
	      .example = "[/run/other/io.containerd.runtime.v2.task/k8s.io]",
	      .doc = "Further directories that have ID/config.json or ID/userdata/config.json."),
	FIELD(struct config_discovery, annotations, FIELD_OBJECT, .object = &ANNOTATIONS,
	      .doc = "What containers ask for by their pod's annotations, or by labels of "
		     "their own."),
	FIELD(struct config_discovery, max_wait, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = HOUR_NS,
	      .doc = "How long lines wait for their container's name; then they go with its id."),
	{0},
};

static const struct schema DISCOVERY = {
	.name = "discovery",
	.size = sizeof(struct config_discovery),
	.fields = DISCOVERY_FIELDS,
};

static const struct field SPOOL_FIELDS[] = {
	FIELD(struct config_spool, directory, FIELD_STRING, .dflt = SPOOL_DEFAULT_DIRECTORY,
	      .doc = "Where its files are; off: none."),
	FIELD(struct config_spool, max_size, FIELD_SIZE, .dflt = "1GiB", .min = SPOOL_MIN_BYTES,
	      .max = 1ll << 42,
	      .doc = "Of all files. When it is full the oldest goes, counted, and a line in Loki "
		     "says so."),
	FIELD(struct config_spool, segment_size, FIELD_SIZE, .dflt = "16MiB",
	      .min = SPOOL_MIN_SEGMENT_BYTES, .max = 1 << 30,
	      .doc = "Of one file; never over a sixteenth of max_size."),
	FIELD(struct config_spool, fsync, FIELD_ENUM, .names = SPOOL_FSYNCS, .dflt = "interval",
	      .doc = "When it is made to survive a loss of power: interval is each second and each "
		     "full file."),
	FIELD(struct config_spool, order, FIELD_ENUM, .names = SPOOL_ORDERS, .dflt = "oldest_first",
	      .doc = "oldest_first keeps each stream in order; live_first sends what is new at "
		     "once "
		     "while the backlog is younger than 45 minutes, for later Loki would refuse "
		     "it; "
		     "backfill does so always and gives the backlog the label backfill=\"true\"."),
	FIELD(struct config_spool, drain_rate, FIELD_SIZE, .dflt = "64MiB", .max = 1ll << 40,
	      .doc = "Bytes of lines a second that the backlog is sent with; 0: no bound."),
	{0},
};

static void check_spool(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_spool *s = object;
	const char *expected = values__check_spool_directory(s->directory);

	if (expected)
		diag__error(diag, node__get(node, "directory"), "\"%s\", expected %s", s->directory,
			    expected);
}

static const struct schema SPOOL = {
	.name = "spool",
	.size = sizeof(struct config_spool),
	.fields = SPOOL_FIELDS,
	.check = check_spool,
};

static const struct field LIMITS_FIELDS[] = {
	FIELD(struct config_limits, memory, FIELD_SIZE, .dflt = "64MiB", .min = 8 << 20,
	      .max = 4ll << 30,
	      .doc = "Memory of batches that are not delivered; past it they wait in the ring."),
	FIELD(struct config_limits, label_values, FIELD_INT, .dflt = "100", .min = 1,
	      .max = 1000000,
	      .doc = "A label that stages or rules make and that has more values than this in "
		     "guard_window becomes structured metadata."),
	FIELD(struct config_limits, identity_values, FIELD_INT, .dflt = "2000", .min = 1,
	      .max = 1000000, .doc = "The same for container, pod and namespace, which only warn."),
	FIELD(struct config_limits, guard_window, FIELD_DURATION, .dflt = "1h", .min = NS_PER_SEC,
	      .max = 24 * HOUR_NS, .doc = "The time in which values are counted."),
	FIELD(struct config_limits, guard_reset, FIELD_DURATION, .dflt = "24h", .min = NS_PER_SEC,
	      .max = 365 * 24 * HOUR_NS,
	      .doc = "When such a label is one again; a reload does it too."),
	FIELD(struct config_limits, label_names, FIELD_INT, .dflt = "15", .min = 1, .max = 100,
	      .doc = "Labels of a stream; the others become metadata."),
	FIELD(struct config_limits, label_name_length, FIELD_SIZE, .dflt = "1024", .min = 1,
	      .max = 65536, .doc = "Longer names are cut."),
	FIELD(struct config_limits, label_value_length, FIELD_SIZE, .dflt = "2048", .min = 1,
	      .max = 65536, .doc = "Longer values are cut."),
	FIELD(struct config_limits, streams, FIELD_INT, .dflt = "10000", .min = 1, .max = 10000000,
	      .doc = "Streams of a client."),
	{0},
};

static const struct schema LIMITS = {
	.name = "limits",
	.size = sizeof(struct config_limits),
	.fields = LIMITS_FIELDS,
};

static const struct field CANARY_FIELDS[] = {
	FIELD(struct config_canary, interval, FIELD_DURATION, .dflt = "0s", .max = HOUR_NS,
	      .doc = "How often a line of notail's own is pushed, {job=\"notail_canary\", host}, "
		     "whose age when Loki has it is a metric; 0: never."),
	{0},
};

static const struct schema CANARY = {
	.name = "canary",
	.size = sizeof(struct config_canary),
	.fields = CANARY_FIELDS,
};

static const char *const FILTER_MODES[] = {
	[FILTER_OFF] = "off", [FILTER_ON] = "on", [FILTER_KILL] = "kill", NULL};

static const struct field SECURITY_FIELDS[] = {
	FIELD(struct config_security, seccomp, FIELD_ENUM, .names = FILTER_MODES, .dflt = "on",
	      .doc = "A filter of the system calls that a run does not need: on refuses them, and "
		     "the kernel logs it; kill ends notail."),
	{0},
};

static const struct schema SECURITY = {
	.name = "security",
	.size = sizeof(struct config_security),
	.fields = SECURITY_FIELDS,
};

static const struct field LOG_FIELDS[] = {
	FIELD(struct config_log, level, FIELD_ENUM, .names = LEVELS, .dflt = "info",
	      .doc = "notail's own messages, on stderr."),
	FIELD(struct config_log, format, FIELD_ENUM, .names = FORMATS, .dflt = "text",
	      .doc = "How they look."),
	{0},
};

static const struct schema LOG = {
	.name = "log",
	.size = sizeof(struct config_log),
	.fields = LOG_FIELDS,
};

static const char *const EVENT_FORMATS[] = {[EVENT_LOGFMT] = "logfmt", [EVENT_JSON] = "json", NULL};

static const struct field LEASE_FIELDS[] = {
	FIELD(struct config_lease, enabled, FIELD_BOOL, .dflt = "false",
	      .doc = "One of several replicas works, and the Lease says how far it came; needs "
		     "get, "
		     "create and update of leases."),
	FIELD(struct config_lease, namespace, FIELD_STRING,
	      .doc = "Where it is, if not in this pod's namespace."),
	FIELD(struct config_lease, name, FIELD_STRING, .dflt = "notail-events",
	      .doc = "What it is called."),
	FIELD(struct config_lease, duration, FIELD_DURATION, .dflt = "15s", .min = 3 * NS_PER_SEC,
	      .max = HOUR_NS, .doc = "When another takes over from one that is gone."),
	{0},
};

/* As the API has them: part of a path. */
static void check_name(const char *name, const struct node *at, struct diag *diag)
{
	static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	if (!*name || strlen(name) > 253 || name[strspn(name, ALLOWED)])
		diag__error(diag, at, "\"%s\", expected a name: lower case, digits, - and .", name);
}

static void check_lease(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_lease *l = object;

	if (l->namespace)
		check_name(l->namespace, node__get(node, "namespace"), diag);
	check_name(l->name, node__get(node, "name"), diag);
	if (l->duration % NS_PER_SEC)
		diag__error(diag, node__get(node, "duration"), "expected whole seconds");
}

static const struct schema LEASE = {
	.name = "lease",
	.size = sizeof(struct config_lease),
	.fields = LEASE_FIELDS,
	.check = check_lease,
};

static const struct field EVENTS_FIELDS[] = {
	FIELD(struct config_events, namespaces, FIELD_STRINGS,
	      .doc = "Those of these namespaces; none: of all."),
	FIELD(struct config_events, format, FIELD_ENUM, .names = EVENT_FORMATS, .dflt = "logfmt",
	      .doc = "How a line looks; the keys are those of Grafana Alloy in both."),
	FIELD(struct config_events, job, FIELD_STRING, .dflt = "loki.source.kubernetes_events",
	      .doc = "The label job, and service_name."),
	FIELD(struct config_events, instance, FIELD_STRING,
	      .dflt = "loki.source.kubernetes_events.notail", .doc = "The label instance."),
	FIELD(struct config_events, directory, FIELD_STRING,
	      .doc = "Where a file says how far it came, and what Loki has not taken is spooled; "
		     "in place of lease."),
	FIELD(struct config_events, lease, FIELD_OBJECT, .object = &LEASE,
	      .doc = "Leader election."),
	FIELD(struct config_events, relabel_configs, FIELD_OBJECTS, .object = &relabel_rule_schema,
	      .doc = "Rules over the labels of events."),
	FIELD(struct config_events, pipeline_stages, FIELD_STAGES,
	      .doc = "What is done with each of their lines."),
	{0},
};

static void check_events(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_events *e = object;

	for (size_t i = 0; i < e->namespaces.n; i++)
		check_name(e->namespaces.items[i], item(node, "namespaces", i), diag);
	if (e->namespaces.n > EVENTS_MAX_NAMESPACES)
		diag__error(diag, node__get(node, "namespaces"),
			    "%zu namespaces, expected at most %d, or none for all", e->namespaces.n,
			    EVENTS_MAX_NAMESPACES);
	if (!*e->job)
		diag__error(diag, node__get(node, "job"), "empty, expected a name");
	if (e->directory && *e->directory && *e->directory != '/')
		diag__error(diag, node__get(node, "directory"), "\"%s\", expected an absolute path",
			    e->directory);
	if (e->directory && *e->directory && e->lease.enabled)
		diag__error(diag, node__get(node, "directory"),
			    "stands beside lease.enabled, expected one of the two");
}

static const struct schema EVENTS = {
	.name = "events",
	.size = sizeof(struct config_events),
	.fields = EVENTS_FIELDS,
	.check = check_events,
};

static const struct field CONFIG_FIELDS[] = {
	FIELD(struct config, clients, FIELD_OBJECTS, .object = &CLIENT,
	      .doc = "Where lines go: Lokis."),
	FIELD(struct config, client, FIELD_OBJECT, .object = &CLIENT, .flags = FIELD_HIDDEN,
	      .doc = "One more of clients."),
	FIELD(struct config, external_labels, FIELD_MAP, .doc = "Labels of every line."),
	FIELD(struct config, host, FIELD_STRING,
	      .doc = "Value of the label host, where it is not the host's name."),
	FIELD(struct config, capture, FIELD_OBJECT, .object = &CAPTURE,
	      .doc = "What is captured, and how."),
	FIELD(struct config, discovery, FIELD_OBJECT, .object = &DISCOVERY,
	      .doc = "What containers are called."),
	FIELD(struct config, preset, FIELD_ENUM, .names = config_presets, .dflt = "auto",
	      .doc = "Labels to begin with; auto is kubernetes for pods and docker for others, and "
		     "none beside scrape_configs."),
	FIELD(struct config, preset_pod, FIELD_ENUM, .names = POD_NAMES, .dflt = "label",
	      .doc = "What a pod's name is: a label, or metadata, where pods come and go too fast "
		     "for one."),
	FIELD(struct config, relabel_configs, FIELD_OBJECTS, .object = &relabel_rule_schema,
	      .doc = "Rules over labels, as Prometheus has them."),
	FIELD(struct config, pipeline_stages, FIELD_STAGES,
	      .doc = "What is done with each line, as Promtail has it."),
	FIELD(struct config, scrape_configs, FIELD_OBJECTS, .object = &promtail_job_schema),
	FIELD(struct config, limits, FIELD_OBJECT, .object = &LIMITS, .doc = "Bounds."),
	FIELD(struct config, spool, FIELD_OBJECT, .object = &SPOOL,
	      .doc = "Files for what Loki has not taken."),
	FIELD(struct config, shutdown_timeout, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = 300 * NS_PER_SEC,
	      .doc = "At the end what there is is delivered for so long; the rest goes to the "
		     "spool."),
	FIELD(struct config, server, FIELD_OBJECT, .object = &SERVER, .doc = "Status and metrics."),
	FIELD(struct config, canary, FIELD_OBJECT, .object = &CANARY,
	      .doc = "A line that shows that all is well."),
	FIELD(struct config, events, FIELD_OBJECT, .object = &EVENTS,
	      .doc = "What `notail events' sends of a cluster."),
	FIELD(struct config, security, FIELD_OBJECT, .object = &SECURITY,
	      .doc = "What notail denies itself."),
	FIELD(struct config, log, FIELD_OBJECT, .object = &LOG, .doc = "Messages."),
	IGNORED(struct config, "positions", .flags = FIELD_IGNORED,
		.doc = "there are no files whose ends would have to be known"),
	IGNORED(struct config, "target_config", .flags = FIELD_IGNORED,
		.doc = "there are no files to look for"),
	IGNORED(struct config, "global", .flags = FIELD_IGNORED,
		.doc = "there are no files to look at"),
	IGNORED(struct config, "limits_config", .flags = FIELD_UNDONE,
		.doc = "capture.rate_limit, capture.max_line_size and limits are notail's"),
	IGNORED(struct config, "limit_config", .flags = FIELD_UNDONE,
		.doc = "capture.rate_limit, capture.max_line_size and limits are notail's"),
	IGNORED(struct config, "options", .flags = FIELD_IGNORED),
	IGNORED(struct config, "tracing", .flags = FIELD_IGNORED, .doc = "notail traces nothing"),
	IGNORED(struct config, "wal", .flags = FIELD_IGNORED, .doc = "see spool"),
	{0},
};

const struct schema config_schema = {
	.name = "notail",
	.size = sizeof(struct config),
	.fields = CONFIG_FIELDS,
};

/*
 * Loading
 */

static const struct node *given(const struct node *root, const char *key)
{
	const struct node *n = node__get(root, key);

	return n && n->kind != NODE_NULL ? n : NULL;
}

static int add_client(struct loaded *l)
{
	struct config *c = &l->config;
	struct config_client *all;

	if (!c->client.url)
		return 0;
	all = arena__alloc(&l->arena, (c->clients.n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	if (c->clients.n)
		memcpy(all, c->clients.items, c->clients.n * sizeof(*all));
	all[c->clients.n] = c->client;
	c->clients = (struct object_list){.items = all, .n = c->clients.n + 1};
	return 0;
}

/* Without scrape_configs there is one job, for all containers. */
static int make_jobs(struct loaded *l, const struct node *root, struct diag *diag)
{
	static const char *const OWN[] = {"relabel_configs", "pipeline_stages"};
	struct config *c = &l->config;
	struct config_job *job;

	if (given(root, "scrape_configs")) {
		c->promtail = true;
		c->jobs = c->scrape_configs;
		if (c->preset == PRESET_AUTO)
			c->preset = PRESET_NONE;
		for (size_t i = 0; i < ARRAY_SIZE(OWN); i++)
			if (given(root, OWN[i]))
				diag__error(diag, given(root, OWN[i]),
					    "stands beside scrape_configs, expected it in each of "
					    "those");
		promtail__check_jobs(&c->jobs, diag);
		if (c->discovery.kubernetes.source == KUBE_SOURCE_NONE &&
		    promtail__reads_pods(&c->jobs))
			diag__warn(diag, promtail__reads_pods(&c->jobs),
				   "labels and annotations of pods are not known with "
				   "discovery.kubernetes.source none, expected kubelet or api");
		return 0;
	}
	job = arena__zalloc(&l->arena, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->relabel_configs = c->relabel_configs;
	job->pipeline_stages = c->pipeline_stages;
	c->jobs = (struct object_list){.items = job, .n = 1};
	return 0;
}

/* There is one Docker to ask: that of discovery, or the first that a job names. */
static int take_docker_host(struct config *c, const struct config_docker_sd *docker,
			    struct arena *arena, struct diag *diag)
{
	const char **host = &c->discovery.docker.host, *named;
	int err = promtail__docker_host(docker->host, arena, &named);

	if (err)
		return err;
	if (!*host)
		*host = named;
	else if (strcmp(*host, named))
		diag__warn(diag, docker->node,
			   "notail does not do this: it asks one Docker, and that is %s", *host);
	return 0;
}

static int take_docker_hosts(struct loaded *l, struct diag *diag)
{
	const struct config_job *jobs = l->config.scrape_configs.items;
	int err = 0;

	for (size_t i = 0; i < l->config.scrape_configs.n; i++) {
		const struct config_docker_sd *docker = jobs[i].docker_sd_configs.items;

		for (size_t j = 0; !err && j < jobs[i].docker_sd_configs.n; j++)
			err = take_docker_host(&l->config, &docker[j], &l->arena, diag);
	}
	return err;
}

/* Where it listens in Promtail's words; loopback, where they name no address. */
static int take_listen(struct loaded *l, const struct node *server, struct diag *diag)
{
	struct config_server *s = &l->config.server;
	const struct node *address = given(server, "http_listen_address");
	const struct node *port = given(server, "http_listen_port");
	char *text;
	size_t size;

	s->listen_given = given(server, "listen") || s->disable;
	if (s->disable)
		s->listen = SERVER_OFF;
	if (s->listen_given || (!address && !port))
		return 0;
	s->listen_given = true;
	size = (address ? strlen(s->http_listen_address) : 0) + sizeof("127.0.0.1:65535");
	text = arena__alloc(&l->arena, size);
	if (!text)
		return -ENOMEM;
	snprintf(text, size, "%s:%lld",
		 address && *s->http_listen_address ? s->http_listen_address : "127.0.0.1",
		 (long long)(port ? s->http_listen_port : SERVER_DEFAULT_PORT));
	s->listen = text;
	check_address(address ? address : port, text, diag);
	return 0;
}

/* They tell the clients apart, in metrics too; those without one have a number. */
static void check_client_names(const struct config *c, struct diag *diag)
{
	const struct config_client *clients = c->clients.items;

	for (size_t i = 0; i < c->clients.n; i++) {
		const char *name = clients[i].name;
		const struct node *at = node__get(clients[i].node, "name");

		if (name && strspn(name, "0123456789") == strlen(name))
			diag__error(diag, at, "expected a name that is no number");
		for (size_t j = 0; name && j < i; j++)
			if (clients[j].name && !strcmp(name, clients[j].name))
				diag__error(diag, at,
					    "`%s` is another client's, expected a name "
					    "of its own",
					    name);
	}
}

static int finish(struct loaded *l, const struct node *root, struct diag *diag)
{
	struct config *c = &l->config;
	int err = add_client(l);

	if (!err)
		err = take_listen(l, given(root, "server"), diag);
	if (!err)
		err = take_docker_hosts(l, diag);
	if (err)
		return err;
	check_client_names(c, diag);
	if (c->clients.n > CLIENTS_MAX)
		diag__error(diag, ((struct config_client *)c->clients.items)[CLIENTS_MAX].node,
			    "%zu clients, expected at most %d", c->clients.n, CLIENTS_MAX);
	if (c->server.log_level && !given(given(root, "log"), "level"))
		c->log.level = c->server.log_level - 1;
	if (c->server.log_format && !given(given(root, "log"), "format"))
		c->log.format = c->server.log_format - 1;
	if (c->host && !values__is_name(c->host))
		diag__error(diag, given(root, "host"),
			    "expected a name without control characters");
	return make_jobs(l, root, diag);
}

int config__parse(struct config **ret, const char *text, size_t len, node_env_fn env, void *env_ctx,
		  config_check_fn check, struct diag *diag)
{
	struct loaded *l = calloc(1, sizeof(*l));
	size_t errors = diag__errors(diag);
	const struct node *root;
	int err;

	if (!l)
		return -ENOMEM;
	err = document__parse(&l->document, text, len, env, env_ctx, diag);
	if (err)
		goto out;
	root = document__root(l->document);
	err = schema__decode(&config_schema, root, &l->config, &l->arena, diag);
	if (!err || err == -EINVAL)
		err = finish(l, root, diag);
	if (!err && check)
		err = check(&l->config, diag);
	if (!err && diag__errors(diag) != errors)
		err = -EINVAL;
out:
	if (err)
		config__free(&l->config);
	else
		*ret = &l->config;
	return err;
}

static const char *environment(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static int read_file(const char *path, struct buf *text)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		int err = buf__reserve(text, 64 * 1024);

		if (err)
			return err;
		n = read(fd, text->data + text->len, text->size - text->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		text->len += n > 0 ? (size_t)n : 0;
	} while (n && text->len <= FILE_MAX_BYTES);
	return 0;
}

int config__load(struct config **ret, const char *path, config_check_fn check, struct diag *diag)
{
	_buf_ struct buf text = {0};
	int err = read_file(path, &text);

	if (err == -ENOMEM)
		return err;
	if (err) {
		diag__error(diag, NULL, "%s, expected a file that can be read", strerror(-err));
		return -EINVAL;
	}
	return config__parse(ret, text.data, text.len, environment, NULL, check, diag);
}

struct config *config__ref(struct config *c)
{
	if (c)
		__atomic_fetch_add(&((struct loaded *)c)->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void config__free(struct config *c)
{
	struct loaded *l = (struct loaded *)c;

	if (!l || __atomic_fetch_sub(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	document__free(l->document);
	arena__free(&l->arena);
	free(l);
}

int config__print(const struct config *c, FILE *out)
{
	return print__values(&config_schema, c, out);
}
