/* SPDX-License-Identifier: Apache-2.0 */
/* The stage decolorize. */
#include "process/decolorize.h"
#include "process/stages.h"

static enum stage_result run_decolorize(void *stage _unused_, struct entry *e)
{
	char *out;

	if (!decolorize__wanted(e->line, e->len))
		return STAGE_CONTINUE;
	out = arena__alloc(e->arena, e->len);
	if (!out) {
		e->counters->no_memory++;
		return STAGE_CONTINUE;
	}
	e->len = decolorize__text(out, e->line, e->len);
	e->line = out;
	return STAGE_CONTINUE;
}

const struct stage_type stage_decolorize = {
	.options = {.name = "decolorize",
		    .type = FIELD_NODE,
		    .doc = "Takes the escape sequences of terminals out of the line."},
	.options_size = sizeof(const struct node *),
	.run = run_decolorize,
};
