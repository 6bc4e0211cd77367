/* SPDX-License-Identifier: Apache-2.0 */
/* The section server: notail's own words, and those that Promtail has for its own. */
#include "config/sections.h"

#include "base/log.h"
#include "config/config.h"
#include "config/values.h"
#include "io/httpd.h"

static const char *const PROMTAIL_FORMATS[] = {
	"", [LOG_TEXT + 1] = "text", [LOG_LOGFMT + 1] = "logfmt", [LOG_JSON + 1] = "json", NULL};
static const char *const PROMTAIL_LEVELS[] = {"",
					      [LOG_ERROR + 1] = "error",
					      [LOG_WARN + 1] = "warn",
					      [LOG_INFO + 1] = "info",
					      [LOG_DEBUG + 1] = "debug",
					      NULL};

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
	FIELD(struct config_server, basic_auth, FIELD_OBJECT, .object = &config_basic_auth_schema,
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

void section__check_address(const struct node *at, const char *address, struct diag *diag)
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

	section__check_address(node__get(node, "listen"), s->listen, diag);
	section__check_address(node__get(node, "metrics_listen"), s->metrics_listen, diag);
}

const struct schema config_server_schema = {
	.name = "server",
	.size = sizeof(struct config_server),
	.fields = SERVER_FIELDS,
	.check = check_server,
};
