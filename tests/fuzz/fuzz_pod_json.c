/* SPDX-License-Identifier: Apache-2.0 */
/* A pod of any bytes: what is kept is text, and bounded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "containers/pod.h"
#include "kube/pod_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	if (text && !utf8__valid(text, strlen(text)))
		abort();
}

static void check_pairs(const struct meta_label *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check(pairs[i].name);
		check(pairs[i].value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_pod_ struct pod *p = NULL, *again = NULL;

	if (pod_json__parse((const char *)data, size, &p) != 0)
		return 0;
	if (!p->uid || !p->namespace || !p->name || p->n_labels > POD_JSON_LABELS ||
	    p->n_annotations > POD_JSON_ANNOTATIONS || p->n_containers > POD_JSON_CONTAINERS)
		abort();
	check(p->uid);
	check(p->namespace);
	check(p->name);
	check(p->phase);
	check(p->controller_name);
	check_pairs(p->labels, p->n_labels);
	check_pairs(p->annotations, p->n_annotations);
	for (size_t i = 0; i < p->n_containers; i++) {
		check(p->containers[i].name);
		check(p->containers[i].id);
	}
	if (pod_json__parse((const char *)data, size, &again) != 0 || !pod__same(p, again))
		abort();
	return 0;
}
