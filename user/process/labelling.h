/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is known of a (container, stream) to its label set: discovered labels, the preset's,
 * the rules, the limits. Asked once for each stream and version of its metadata, and again when
 * limits.h says so; not for each line. One thread.
 */
#ifndef NOTAIL_PROCESS_LABELLING_H
#define NOTAIL_PROCESS_LABELLING_H

#include "process/discovered.h"
#include "process/limits.h"
#include "process/preset.h"
#include "process/relabel.h"

struct labelling;

/* All that is pointed to must outlive it. */
struct labelling_opts {
	struct preset_opts preset;
	struct discovered_opts discovered;
	const struct label_pair *static_labels; /* before any rule */
	size_t n_static_labels;
	struct relabel *rules; /* NULL: none */
	struct limits *limits; /* NULL: none */
};

struct labelling_result {
	struct label_set *set; /* sealed; the caller's reference */
	const char *tenant;    /* what rules made of __tenant_id__; NULL: none; valid until the next
				  call */
};

int labelling__new(struct labelling **ret, const struct labelling_opts *opts);
void labelling__free(struct labelling *l); /* NULL is fine */
/*
 * 1: *ret_result; 0: the container is not wanted, *ret_why says why (valid until the next call):
 * a rule drops it, or a label of its own says so (notail.io/exclude, fluentbit.io/exclude,
 * vector.dev/exclude: "true"); -ENOMEM. time_ns: of the record that it is for.
 */
int labelling__make(struct labelling *l, const struct meta *m, enum line_stream stream,
		    uint64_t time_ns, struct labelling_result *ret_result, const char **ret_why);

#endif
