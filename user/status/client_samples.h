/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the clients, each with the label `client`. */
#ifndef NOTAIL_STATUS_CLIENT_SAMPLES_H
#define NOTAIL_STATUS_CLIENT_SAMPLES_H

#include "status/view.h"

#define CLIENT_LABEL_LEN 128

/* What client i is called: its name, or the host and port of its URL; with a number behind it where
 * one before it is called the same. */
void client_samples__label(const struct view_client *clients, size_t i, char ret[CLIENT_LABEL_LEN]);
void client_samples__add(struct samples *s, const struct view_client *clients, size_t n);

#endif
