/* SPDX-License-Identifier: Apache-2.0 */
/* `notail support-bundle`: what helps somebody else to find out what is wrong. */
#ifndef NOTAIL_SUPPORT_BUNDLE_H
#define NOTAIL_SUPPORT_BUNDLE_H

#include "capture/registered.h"
#include "config/options.h"

/*
 * A tar file of the version, the report of the probe, the configuration with its secrets masked,
 * the streams that are registered, and of a notail that runs here what its status server says.
 * Names and labels of containers are in it, no log lines. What cannot be had is told in its place.
 * 0 or -errno: the file cannot be written, said.
 */
int support_bundle(const struct options *o, container_name_fn container_name);

#endif
