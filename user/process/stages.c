/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of stages. */
#include "process/stage.h"

const struct stage_type *const stage_types[] = {
	NULL,
};
