/* SPDX-License-Identifier: Apache-2.0 */
/* The section discovery.kubernetes of a configuration: config/config.h is for its readers. */
#ifndef NOTAIL_CONFIG_KUBERNETES_H
#define NOTAIL_CONFIG_KUBERNETES_H

#include "config/schema.h"

extern const struct schema config_kubernetes_schema; /* of struct config_kubernetes */

#endif
