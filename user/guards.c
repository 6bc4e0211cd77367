/* SPDX-License-Identifier: Apache-2.0 */
/* Promtail's words for TLS and users, made into what httpd and the status server take. */
#include "guards.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "config/config.h"
#include "io/httpd_tls.h"
#include "sink/auth.h"

int guards__make(struct guards *ret, const struct config_server *c, char *ret_why, size_t size)
{
	static const enum httpd_client_auth HOW[] = {
		[CLIENT_AUTH_NONE] = HTTPD_CLIENT_NONE,
		[CLIENT_AUTH_IF_GIVEN] = HTTPD_CLIENT_IF_GIVEN,
		[CLIENT_AUTH_REQUIRED] = HTTPD_CLIENT_REQUIRED,
	};
	struct httpd_tls_opts tls;
	struct auth_opts user;
	char reason[256] = "";
	int err = 0;

	if (!c)
		return 0;
	tls = (struct httpd_tls_opts){
		.cert_file = c->http_tls_config.cert_file,
		.key_file = c->http_tls_config.key_file,
		.client_ca_file = c->http_tls_config.client_ca_file,
	};
	if (c->http_tls_config.client_auth_type)
		tls.client_auth = HOW[c->http_tls_config.client_auth_type];
	else if (tls.client_ca_file)
		tls.client_auth = HTTPD_CLIENT_REQUIRED;
	user = (struct auth_opts){
		.username = c->basic_auth.username,
		.username_file = c->basic_auth.username_file,
		.password = c->basic_auth.password,
		.password_file = c->basic_auth.password_file,
	};
	if (tls.cert_file)
		err = httpd_tls__new(&ret->tls, &tls, reason, sizeof(reason));
	if (err)
		snprintf(ret_why, size, "server.http_tls_config: %s",
			 *reason ? reason : strerror(-err));
	return err ? err : auth__new(&ret->user, &user);
}

void guards__free(struct guards *g)
{
	httpd_tls__free(g->tls);
	auth__free(g->user);
	*g = (struct guards){0};
}
