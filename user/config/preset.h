/* SPDX-License-Identifier: Apache-2.0 */
/* The label sets that can be asked for by name; what they are: process/preset.h. */
#ifndef NOTAIL_CONFIG_PRESET_H
#define NOTAIL_CONFIG_PRESET_H

enum config_preset {
	PRESET_AUTO, /* kubernetes for a pod's containers, docker for others */
	PRESET_DOCKER,
	PRESET_KUBERNETES,
	PRESET_ALLOY,
	PRESET_PROMTAIL,
	PRESET_STRICT,
	PRESET_NONE, /* a Promtail file's: labels come from its rules alone */
};

/* By their numbers, NULL at the end. */
extern const char *const config_presets[];

/* What presets make of a pod's name. */
enum config_pod_name {
	POD_NAME_LABEL,
	POD_NAME_METADATA,
};

#endif
