/* SPDX-License-Identifier: Apache-2.0 */
/* The section discovery.kubernetes. */
#include "config/sections.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/config.h"
#include "io/http.h"
#include "kube/source.h"

static const struct field GLOBS_FIELDS[] = {
	FIELD(struct config_globs, include, FIELD_STRINGS, .doc = "Only these; none: all."),
	FIELD(struct config_globs, exclude, FIELD_STRINGS, .doc = "None of these."),
	{0},
};

/* No namespace has another character. */
static bool is_namespace_glob(const char *text)
{
	static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789-*?[]!^{},";

	return *text && !text[strspn(text, ALLOWED)];
}

static void check_globs(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_globs *g = object;
	const struct string_list *lists[] = {&g->include, &g->exclude};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t j = 0; j < lists[i]->n; j++)
			if (!is_namespace_glob(lists[i]->items[j]))
				diag__error(diag, node__get(node, i ? "exclude" : "include"),
					    "\"%s\", expected a namespace or a pattern like team-*",
					    lists[i]->items[j]);
}

static const struct schema GLOBS = {
	.name = "globs",
	.size = sizeof(struct config_globs),
	.fields = GLOBS_FIELDS,
	.check = check_globs,
};

static const struct field FIELDS[] = {
	FIELD(struct config_kubernetes, source, FIELD_ENUM, .names = KUBE_SOURCE_KINDS,
	      .dflt = "none",
	      .doc = "Where pods' labels and annotations come from: none (namespace, pod and "
		     "container are known without), kubelet, api."),
	FIELD(struct config_kubernetes, node_name, FIELD_STRING, .example = "null",
	      .doc = "The node whose pods the API server is asked for; default: the environment's "
		     "NODE_NAME, or the host's name."),
	FIELD(struct config_kubernetes, api_server, FIELD_STRING, .example = "null",
	      .doc = "The API server, such as https://10.0.0.1:6443, where it is not what a pod's "
		     "environment says."),
	FIELD(struct config_kubernetes, token_file, FIELD_STRING, .example = "null",
	      .doc = "A file that has a token, read again when it changes; default: the service "
		     "account's, " KUBE_TOKEN_FILE "."),
	FIELD(struct config_kubernetes, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates of the API server; default: the service account's authority."),
	FIELD(struct config_kubernetes, proxy_url, FIELD_STRING, .example = "null",
	      .doc = "A proxy before the API server, in place of the environment's."),
	FIELD(struct config_kubernetes, no_proxy, FIELD_STRING,
	      .doc = "Hosts that it is not for, by commas."),
	FIELD(struct config_kubernetes, kubelet_url, FIELD_STRING, .dflt = KUBE_KUBELET_URL,
	      .doc = "The kubelet; http://127.0.0.1:10255 is its read-only port, which needs no "
		     "token."),
	FIELD(struct config_kubernetes, kubelet_tls_config, FIELD_OBJECT,
	      .object = &config_tls_schema,
	      .doc = "Certificates of the kubelet; many sign for themselves."),
	FIELD(struct config_kubernetes, poll_interval, FIELD_DURATION, .dflt = "10s",
	      .min = NS_PER_SEC, .max = 3600 * (int64_t)NS_PER_SEC,
	      .doc = "How often the kubelet is asked; it is asked at once when a pod is new."),
	FIELD(struct config_kubernetes, namespaces, FIELD_OBJECT, .object = &GLOBS,
	      .flags = FIELD_RELOADED,
	      .doc = "Whose pods' containers are captured; patterns like team-* work."),
	{0},
};

static void check_url(const struct node *node, const char *key, const char *url,
		      const char *example, struct diag *diag)
{
	const char *why = NULL;

	if (!url || (http__check_url(url, &why) == 0 && strcspn(url, "?#@") == strlen(url)))
		return;
	diag__error(diag, node__get(node, key), "%s, expected a URL like %s",
		    why ? why : "it has more than a host and a path", example);
}

static void check_kubernetes(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_kubernetes *k = object;

	check_url(node, "api_server", k->api_server, "https://kubernetes.default.svc", diag);
	check_url(node, "kubelet_url", k->kubelet_url, KUBE_KUBELET_URL, diag);
	if (k->proxy_url && http__check_url(k->proxy_url, &(const char *){NULL}) != 0)
		diag__error(diag, node__get(node, "proxy_url"),
			    "\"%s\", expected a URL like http://proxy:3128", k->proxy_url);
	if (k->node_name && strlen(k->node_name) > 253)
		diag__error(diag, node__get(node, "node_name"),
			    "longer than 253 characters, expected the name of a node");
}

const struct schema config_kubernetes_schema = {
	.name = "kubernetes",
	.size = sizeof(struct config_kubernetes),
	.fields = FIELDS,
	.node_offset = offsetof(struct config_kubernetes, node),
	.check = check_kubernetes,
};
