/* SPDX-License-Identifier: Apache-2.0 */
/* The stages, each in its stage_*.c; the list of them all is in stages.c. */
#ifndef NOTAIL_PROCESS_STAGES_H
#define NOTAIL_PROCESS_STAGES_H

#include "process/stage.h"

extern const struct stage_type stage_json;
extern const struct stage_type stage_logfmt;
extern const struct stage_type stage_regex;
extern const struct stage_type stage_replace;
extern const struct stage_type stage_decolorize;
extern const struct stage_type stage_redact;
extern const struct stage_type stage_labels;
extern const struct stage_type stage_structured_metadata;
extern const struct stage_type stage_non_indexed_labels;
extern const struct stage_type stage_static_labels;
extern const struct stage_type stage_labeldrop;
extern const struct stage_type stage_labelallow;
extern const struct stage_type stage_tenant;
extern const struct stage_type stage_template;
extern const struct stage_type stage_timestamp;
extern const struct stage_type stage_output;
extern const struct stage_type stage_pack;
extern const struct stage_type stage_match;
extern const struct stage_type stage_drop;
extern const struct stage_type stage_limit;
extern const struct stage_type stage_sampling;
extern const struct stage_type stage_multiline;
extern const struct stage_type stage_metrics;

/* Not in the list: multiline as containers ask for it. */
extern const struct stage_type stage_multiline_asked;

#endif
