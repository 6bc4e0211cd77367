/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster that does not answer is no error, one that nobody named is. */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "io/http.h"

static struct kube_opts api_opts(const struct config_kubernetes *c, struct http_tls *tls)
{
	if (!c)
		return (struct kube_opts){0};
	*tls = config__http_tls(&c->tls_config);
	return (struct kube_opts){
		.url = c->api_server,
		.token_file = c->token_file,
		.tls = tls,
		.proxy = c->proxy_url,
		.no_proxy = c->no_proxy,
	};
}

/* It is on this host: what the environment says of proxies is meant for others. */
static struct kube_opts kubelet_opts(const struct config_kubernetes *c, struct http_tls *tls)
{
	*tls = config__http_tls(&c->kubelet_tls_config);
	return (struct kube_opts){
		.url = c->kubelet_url,
		.token_file = c->token_file,
		.tls = tls,
		.direct = true,
	};
}

static void explain(int err, char *ret_why, size_t size)
{
	if (err == -ENOENT)
		snprintf(ret_why, size,
			 "discovery.kubernetes: no api_server, and the environment has no "
			 "KUBERNETES_SERVICE_HOST, as a pod's has");
	else if (err == -EINVAL)
		snprintf(ret_why, size,
			 "discovery.kubernetes: the environment's KUBERNETES_SERVICE_HOST and "
			 "KUBERNETES_SERVICE_PORT make no URL");
}

int cluster__api(struct kube **ret, struct loop *loop, struct http *http,
		 const struct config_kubernetes *c, char *ret_why, size_t size)
{
	struct http_tls tls;
	const struct kube_opts opts = api_opts(c, &tls);
	int err = kube__new(ret, loop, http, &opts);

	explain(err, ret_why, size);
	return err;
}

static const char *node_name(const struct config_kubernetes *c, const struct options *o,
			     const struct utsname *host)
{
	const char *name = getenv("NODE_NAME");

	if (c->node_name && *c->node_name)
		return c->node_name;
	if (name && *name)
		return name;
	return o->host ? o->host : host->nodename;
}

int cluster__source(struct kube_source **ret, struct loop *loop, struct http *http,
		    struct pods *pods, const struct config_kubernetes *c, const struct options *o,
		    char *ret_why, size_t size)
{
	struct http_tls tls;
	struct kube_source_opts opts = {0};
	struct utsname host;
	int err;

	*ret = NULL;
	if (!c || c->source == KUBE_SOURCE_NONE)
		return 0;
	if (uname(&host) != 0)
		return -errno;
	opts.kind = (enum kube_source_kind)c->source;
	opts.poll_ns = c->poll_interval;
	if (opts.kind == KUBE_SOURCE_API) {
		opts.client = api_opts(c, &tls);
		opts.node_name = node_name(c, o, &host);
	} else {
		opts.client = kubelet_opts(c, &tls);
	}
	err = kube_source__new(ret, loop, http, pods, &opts);
	explain(err, ret_why, size);
	return err;
}
