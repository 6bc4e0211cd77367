/* SPDX-License-Identifier: Apache-2.0 */
/* Names that metrics show: they stay as they are. */
#include "sink/sink.h"

static const char *const names[SINK_REASONS] = {
	[SINK_TOO_OLD] = "too_old",
	[SINK_TOO_NEW] = "too_new",
	[SINK_TOO_FAR_BEHIND] = "too_far_behind",
	[SINK_LINE_TOO_LONG] = "line_too_long",
	[SINK_METADATA] = "metadata",
	[SINK_LABEL_NAMES] = "too_many_labels",
	[SINK_LABEL_LENGTH] = "label_too_long",
	[SINK_LABELS] = "invalid_labels",
	[SINK_RATE_LIMITED] = "rate_limited",
	[SINK_TENANT] = "invalid_tenant",
	[SINK_TOO_LARGE] = "too_large",
	[SINK_SERVER_ERROR] = "server_error",
	[SINK_MAX_RETRIES] = "max_retries",
	[SINK_REFUSED_OTHER] = "refused",
};

const char *sink_reason__name(enum sink_reason reason)
{
	return names[reason];
}
