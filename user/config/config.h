/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notail.yaml, decoded: one table of keys for notail's own sections and for those of a Promtail
 * file, which may stand beside each other. Strings, lists and nodes belong to the struct and live
 * as long as it. Immutable once loaded.
 */
#ifndef NOTAIL_CONFIG_CONFIG_H
#define NOTAIL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "capture/capture.h"
#include "config/diag.h"
#include "config/preset.h"
#include "config/schema.h"

struct http_tls;

#define CONFIG_DEFAULT_PATH "/etc/notail/notail.yaml"

struct config_basic_auth {
	const char *username, *username_file, *password, *password_file; /* all NULL: none */
	const struct node *node;
};

struct config_tls {
	const char *ca_file, *cert_file, *key_file, *server_name;
	const char *ca, *cert, *key; /* in PEM */
	bool insecure_skip_verify;
	int min_version, max_version; /* 0: auto; 1: TLS 1.0, ... */
	const struct node *node;
};

struct config_authorization {
	const char *type;			    /* NULL: Bearer */
	const char *credentials, *credentials_file; /* both NULL: the type alone, if that */
	const struct node *node;
};

struct config_oauth2 {
	const char *client_id, *client_secret, *client_secret_file;
	const char *token_url; /* NULL: none of it */
	struct string_list scopes;
	struct string_map endpoint_params;
	struct config_tls tls_config;
	const char *proxy_url, *no_proxy;
	const struct node *ignored;
	const struct node *node;
};

struct config_backoff {
	uint64_t min_period, max_period; /* ns */
	int64_t max_retries;
};

/* One Loki. */
struct config_client {
	const char *url; /* never NULL */
	const char *name, *tenant_id;
	struct config_basic_auth basic_auth;
	const char *bearer_token, *bearer_token_file;
	struct config_authorization authorization;
	struct config_oauth2 oauth2;
	struct config_tls tls_config;
	const char *proxy_url, *no_proxy;
	struct string_map headers;
	uint64_t batchwait; /* ns */
	uint64_t batchsize; /* bytes */
	struct config_backoff backoff_config;
	uint64_t timeout; /* ns */
	struct string_map external_labels;
	int64_t max_in_flight; /* requests */
	bool drop_rate_limited_batches;
	const struct node *ignored;
	const struct node *node;
};

/* Of notail's own server. */
struct config_server_tls {
	const char *cert_file, *key_file, *client_ca_file; /* both of the first NULL: no TLS */
	int client_auth_type;				   /* enum config_client_auth */
	const struct node *node;
};

/* Promtail's names; AUTO: required where there is a client_ca_file. */
enum config_client_auth {
	CLIENT_AUTH_AUTO,
	CLIENT_AUTH_NONE,
	CLIENT_AUTH_IF_GIVEN,
	CLIENT_AUTH_REQUIRED,
};

#define SERVER_DEFAULT_PORT 9464
#define SERVER_DEFAULT_LISTEN "127.0.0.1:9464"
#define SERVER_OFF "off"

struct config_server {
	const char *listen;	    /* empty or SERVER_OFF: nowhere */
	const char *metrics_listen; /* likewise; NULL: nowhere */
	bool listen_given;	    /* by the file */
	bool disable;		    /* Promtail's: nowhere */
	bool enable_runtime_reload;
	struct config_server_tls http_tls_config;
	struct config_basic_auth basic_auth;
	int log_level, log_format; /* Promtail's place for them: LOG_... + 1; 0: not said */
	const char *http_listen_address;
	int64_t http_listen_port;
	const struct node *ignored;
};

struct config_capture {
	int tap, hooks, attribution; /* enum tap_mode, hook_set, attribution */
	bool exec_sessions;
	uint64_t rate_limit, rate_burst; /* bytes; 0: none, a second's worth */
	uint64_t ring_size, max_line_size;
	struct string_list containers, labels, streams, cgroups; /* as on the command line */
	uint64_t orphan_timeout;				 /* ns */
	const char *pins;					 /* NULL: the default's */
	bool detach_on_exit;
};

struct config_docker {
	bool enabled;
	const char *host;
	struct config_tls tls_config;
};

/* Of namespaces, as globs. */
struct config_globs {
	struct string_list include, exclude; /* none: all; none */
};

struct config_kubernetes {
	int source; /* enum kube_source_kind */
	const char *node_name, *api_server, *token_file, *proxy_url, *no_proxy; /* NULL: not said */
	struct config_tls tls_config, kubelet_tls_config;
	const char *kubelet_url;
	uint64_t poll_interval; /* ns */
	struct config_globs namespaces;
	const struct node *node;
};

/* What containers may ask for by annotations and labels of their own. */
struct config_annotations {
	bool enabled;
	struct string_list tenants; /* globs */
};

struct config_discovery {
	struct config_docker docker;
	struct config_kubernetes kubernetes;
	bool bundle;
	struct string_list bundles; /* directories */
	struct config_annotations annotations;
	uint64_t max_wait; /* ns */
};

enum spool_order {
	SPOOL_OLDEST_FIRST,
	SPOOL_LIVE_FIRST,
	SPOOL_BACKFILL,
};

#define SPOOL_OFF "off"

struct config_spool {
	const char *directory; /* SPOOL_OFF, empty or NULL: none */
	uint64_t max_size, segment_size;
	int fsync;	     /* enum spool_fsync */
	int order;	     /* enum spool_order */
	uint64_t drain_rate; /* bytes of lines a second; 0: no bound */
};

struct config_limits {
	uint64_t memory; /* bytes of batches that are under way, all clients */
	int64_t label_values, identity_values;
	uint64_t guard_window, guard_reset; /* ns */
	int64_t label_names;
	uint64_t label_name_length, label_value_length; /* bytes */
	int64_t streams;
};

struct config_canary {
	uint64_t interval; /* ns; 0: none */
};

struct config_security {
	int seccomp; /* enum filter_mode */
};

/* Of one who works among several replicas. */
struct config_lease {
	bool enabled;
	const char *namespace; /* NULL: this pod's */
	const char *name;
	uint64_t duration; /* ns */
};

#define EVENTS_MAX_NAMESPACES 64

/* `notail events` */
struct config_events {
	struct string_list namespaces; /* none: all */
	int format;		       /* enum event_format */
	const char *job, *instance;
	const char *directory; /* NULL or empty: none */
	struct config_lease lease;
	struct object_list relabel_configs; /* of struct relabel_rule */
	const struct node *pipeline_stages; /* a sequence; NULL: none */
};

struct config_log {
	int level;  /* enum log_level */
	int format; /* enum log_format */
};

/* Which containers a scrape_config would have had. */
struct config_docker_filter {
	const char *name; /* id, name, label, network, ancestor, status */
	struct string_list values;
};

struct config_docker_sd {
	const char *host;
	struct object_list filters; /* of struct config_docker_filter; all of them must hold */
	const struct node *ignored;
	const struct node *node;
};

struct config_namespaces {
	struct string_list names; /* none: all */
	bool own_namespace;
};

struct config_selector {
	const char *role;	   /* pod; the others find no containers */
	const char *label, *field; /* NULL: any */
	const struct node *node;
};

struct config_kubernetes_sd {
	const char *role;
	struct config_namespaces namespaces;
	struct object_list selectors; /* of struct config_selector; all of them must hold */
	const struct node *ignored;
};

struct config_static {
	struct string_list targets;
	struct string_map labels; /* __path__ and __path_exclude__ among them */
	bool containers;	  /* its __path__ is that of containers' files */
	const struct node *node;
};

/*
 * A way from containers to labels and stages. The first whose selectors fit a container and whose
 * relabelling keeps it is the container's.
 */
struct config_job {
	const char *job_name;		      /* NULL: notail's own, which takes every container */
	struct object_list docker_sd_configs; /* of struct config_docker_sd */
	struct object_list kubernetes_sd_configs; /* of struct config_kubernetes_sd */
	struct object_list static_configs;	  /* of struct config_static */
	struct object_list relabel_configs;	  /* of struct relabel_rule */
	const struct node *pipeline_stages;	  /* a sequence; NULL: none */
	const struct node *ignored;
	const struct node *node;
};

struct config {
	struct config_server server;
	struct object_list clients; /* of struct config_client; Promtail's `client` among them */
	struct config_capture capture;
	struct config_discovery discovery;
	int preset;	/* enum config_preset */
	int preset_pod; /* enum config_pod_name */
	struct string_map external_labels;
	struct config_spool spool;
	struct config_limits limits;
	struct config_log log;
	struct config_canary canary;
	struct config_events events;
	struct config_security security;
	uint64_t shutdown_timeout; /* ns */
	const char *host;	   /* NULL: the host's name */
	bool promtail;		   /* the file has scrape_configs */
	struct object_list jobs;   /* of struct config_job, at least one */

	/* As the file has them; what is to be used of them is above. */
	struct config_client client;
	struct object_list scrape_configs; /* of struct config_job */
	struct object_list relabel_configs;
	const struct node *pipeline_stages;
	const struct node *ignored; /* of no use, told */
};

/* Looks at more than the tables know; whatever is wrong goes to diag. 0, -EINVAL or -ENOMEM. */
typedef int (*config_check_fn)(const struct config *c, struct diag *diag);

/*
 * Reads, decodes and checks the file: what is wrong goes to `diag` (made with the file's name), all
 * of it. `check`, NULL: none, is called for anything that is YAML, whatever else is wrong with it.
 * Files that it names are not looked at, nor what rules and stages say: see check.h. 0; -EINVAL;
 * -ENOMEM.
 */
int config__load(struct config **ret, const char *path, config_check_fn check, struct diag *diag);
/* The same of a text, with an environment of one's own. */
int config__parse(struct config **ret, const char *text, size_t len, node_env_fn env, void *env_ctx,
		  config_check_fn check, struct diag *diag);
/* One more owner (atomic); NULL is fine. */
struct config *config__ref(struct config *c);
/* The last owner frees it. NULL is fine. */
void config__free(struct config *c);
/* The first setting in which they differ and that takes a restart; NULL: none. */
const char *config__restart(const struct config *a, const struct config *b);

/* The table that all of it comes from, for the JSON Schema and the default file. */
extern const struct schema config_schema;
/* What a tls_config says to io/http; strings are borrowed. */
struct http_tls config__http_tls(const struct config_tls *t);
/* What is in force, as YAML, secrets masked. 0 or -EIO, -ENOMEM. */
int config__print(const struct config *c, FILE *out);

#endif
