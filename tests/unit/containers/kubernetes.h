/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/data/kubernetes recorded. */
#ifndef TEST_CONTAINERS_KUBERNETES_H
#define TEST_CONTAINERS_KUBERNETES_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

/* NUL-terminated, to free. Tests run in the tree's root. */
static inline char *kubernetes__read(const char *name)
{
	char path[128];
	struct buf b = {0};

	snprintf(path, sizeof(path), "tests/data/kubernetes/%s", name);
	if (buf__read_file(&b, path, 16u << 20) != 0 || buf__append(&b, "", 1) != 0) {
		perror(path);
		abort();
	}
	return b.data;
}

#define STATIC_HASH "54733a71afbb6bb9006bb96ca9bbfed1"
#define STATIC_UID "88f3e6df-869d-4eae-8c8f-a5e7ad393f0e"

/* Bundles of one pod, as CRI-O 1.2x writes them, but for what has no say here. */
#define CRIO_SANDBOX "134b58ab2e0cfd7432a9db818b1b4ec52fdc747333f0ba2c9342860dc2ea7c50"
#define CRIO_BUNDLE                                                                                \
	"{\"ociVersion\":\"1.0.2\",\"annotations\":{"                                              \
	"\"io.container.manager\":\"cri-o\",\"owner\":\"team\","                                   \
	"\"io.kubernetes.cri-o.ContainerType\":\"container\","                                     \
	"\"io.kubernetes.cri-o.SandboxID\":\"" CRIO_SANDBOX "\","                                  \
	"\"io.kubernetes.cri-o.ImageName\":\"quay.io/shop/web:1\","                                \
	"\"io.kubernetes.cri-o.Labels\":\"{\\\"io.kubernetes.container.name\\\":\\\"web\\\","      \
	"\\\"io.kubernetes.pod.name\\\":\\\"web-0\\\",\\\"io.kubernetes.pod.namespace\\\":"        \
	"\\\"shop\\\",\\\"io.kubernetes.pod.uid\\\":\\\"aaaa2b4a-f398-41c0-928b-049e1cc4ec40\\\"}" \
	"\"}}"
#define CRIO_SANDBOX_BUNDLE                                                                      \
	"{\"annotations\":{\"io.container.manager\":\"cri-o\","                                  \
	"\"io.kubernetes.cri-o.ContainerType\":\"sandbox\","                                     \
	"\"io.kubernetes.cri-o.KubeName\":\"web-0\",\"io.kubernetes.cri-o.Namespace\":\"shop\"," \
	"\"io.kubernetes.cri-o.Annotations\":\"{\\\"owner\\\":\\\"team\\\","                     \
	"\\\"kubernetes.io/config.source\\\":\\\"api\\\"}\","                                    \
	"\"io.kubernetes.cri-o.Labels\":\"{\\\"io.kubernetes.container.name\\\":\\\"POD\\\","    \
	"\\\"io.kubernetes.pod.name\\\":\\\"web-0\\\",\\\"io.kubernetes.pod.namespace\\\":"      \
	"\\\"shop\\\",\\\"app\\\":\\\"shop-web\\\",\\\"io.kubernetes.pod.uid\\\":"               \
	"\\\"aaaa2b4a-f398-41c0-928b-049e1cc4ec40\\\"}\"}}"

#endif
