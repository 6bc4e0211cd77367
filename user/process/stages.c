/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of stages. */
#include "process/stages.h"

static const struct stage_type docker = {
	.options = {.name = "docker",
		    .type = FIELD_NODE,
		    .doc = "Nothing is to be done: lines come as the container wrote them."},
	.options_size = sizeof(const struct node *),
};

struct cri_options {
	const char *max_partial_lines, *max_partial_line_size, *max_partial_line_size_truncate;
};

static const struct field cri_fields[] = {
	FIELD(struct cri_options, max_partial_lines, FIELD_STRING, .flags = FIELD_IGNORED),
	FIELD(struct cri_options, max_partial_line_size, FIELD_STRING, .flags = FIELD_IGNORED),
	FIELD(struct cri_options, max_partial_line_size_truncate, FIELD_STRING,
	      .flags = FIELD_IGNORED),
	{0},
};

static const struct schema cri_schema = {
	.name = "cri", .size = sizeof(struct cri_options), .fields = cri_fields};

static const struct stage_type cri = {
	.options = {.name = "cri",
		    .type = FIELD_OBJECT,
		    .object = &cri_schema,
		    .doc = "Nothing is to be done: lines come as the container wrote them."},
	.options_size = sizeof(struct cri_options),
};

static const struct stage_type eventlogmessage = {
	.options = {.name = "eventlogmessage", .type = FIELD_NODE},
	.options_size = sizeof(const struct node *),
	.refused = "eventlogmessage is for Windows' event log, which notail does not read",
};

static const struct stage_type geoip = {
	.options = {.name = "geoip", .type = FIELD_NODE},
	.options_size = sizeof(const struct node *),
	.refused = "geoip is not supported: notail has no databases of addresses",
};

const struct stage_type *const stage_types[] = {
	&docker,
	&cri,
	&stage_json,
	&stage_logfmt,
	&stage_regex,
	&stage_replace,
	&stage_decolorize,
	&stage_redact,
	&stage_labels,
	&stage_structured_metadata,
	&stage_non_indexed_labels,
	&stage_static_labels,
	&stage_labeldrop,
	&stage_labelallow,
	&stage_tenant,
	&stage_template,
	&stage_timestamp,
	&stage_output,
	&stage_pack,
	&stage_match,
	&stage_drop,
	&stage_limit,
	&stage_sampling,
	&stage_multiline,
	&stage_metrics,
	&eventlogmessage,
	&geoip,
	NULL,
};
