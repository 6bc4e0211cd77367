/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' label and field selectors, as kubernetes_sd_configs have them, on what is known of a
 * container's pod: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
 */
#ifndef NOTAIL_PROCESS_SELECTOR_H
#define NOTAIL_PROCESS_SELECTOR_H

#include <stdbool.h>

#include "containers/meta.h"

/* NULL: fine. Else what is expected of it. Static. */
const char *selector__check_labels(const char *selector);
/* Likewise. *ret_unknown: a field that is not looked at stands in it. */
const char *selector__check_fields(const char *selector, bool *ret_unknown);

/* All of it holds. NULL or empty: anything does. As long as nothing is known of a pod but its name,
 * none that speaks of labels does. */
bool selector__fits_labels(const char *selector, const struct meta *m);
/*
 * metadata.name, metadata.namespace, spec.nodeName, status.phase and status.podIP; others hold. A
 * pod whose node is not known is on the one that is asked for, for notail's containers are on its
 * own; one whose phase is not known is Running.
 */
bool selector__fits_fields(const char *selector, const struct meta *m);

#endif
