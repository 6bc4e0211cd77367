/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a configuration's sections, which config.c puts together, and what they share.
 * config/config.h is for those who read one.
 */
#ifndef NOTAIL_CONFIG_SECTIONS_H
#define NOTAIL_CONFIG_SECTIONS_H

#include <stdbool.h>

#include "config/schema.h"

struct config_oauth2;

#define HOUR_NS ((int64_t)3600 * NS_PER_SEC)

/* What has no effect; flags and doc say why. */
#define IGNORED(s, key, ...)                                                                   \
	{                                                                                      \
		.name = (key), .type = FIELD_NODE, .offset = offsetof(s, ignored), __VA_ARGS__ \
	}

/* What Promtail has besides proxy_url and no_proxy. */
#define PROXIES(s)                                                               \
	IGNORED(s, "proxy_from_environment", .flags = FIELD_IGNORED,             \
		.doc = "the environment's are used where proxy_url is not set"), \
		IGNORED(s, "proxy_connect_header", .flags = FIELD_LATER)

extern const struct schema config_client_schema;	/* of struct config_client */
extern const struct schema config_basic_auth_schema;	/* of struct config_basic_auth */
extern const struct schema config_authorization_schema; /* of struct config_authorization */
extern const struct schema config_oauth2_schema;	/* of struct config_oauth2 */
extern const struct schema config_tls_schema;		/* of struct config_tls */
extern const struct schema config_server_schema;	/* of struct config_server */
extern const struct schema config_capture_schema;	/* of struct config_capture */
extern const struct schema config_discovery_schema;	/* of struct config_discovery */
extern const struct schema config_kubernetes_schema;	/* of struct config_kubernetes */
extern const struct schema config_spool_schema;		/* of struct config_spool */
extern const struct schema config_events_schema;	/* of struct config_events */

/* An error at `at` where that is no URL of HTTP; NULL is fine. */
void section__check_url(const struct node *at, const char *url, const char *example,
			struct diag *diag);
/* The same of an address to listen on; NULL and `off` are fine. */
void section__check_address(const struct node *at, const char *address, struct diag *diag);
bool section__is_oauth2(const struct config_oauth2 *o);

#endif
