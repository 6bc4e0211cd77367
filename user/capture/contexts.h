/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which trace a thread works for, as OpenTelemetry's SDKs publish it (OTEP 4947): finds where the
 * threads of a process have it, for the kernel side, which then reads it at each write.
 */
#ifndef NOTAIL_CAPTURE_CONTEXTS_H
#define NOTAIL_CAPTURE_CONTEXTS_H

#include "event.h"

/* The thread-local variable that points to the thread's record. */
#define CONTEXTS_SYMBOL "otel_thread_ctx_v1"

struct contexts;

/* `map_fd`: of nt_contexts; it stays the caller's. Starts a thread. */
int contexts__new(struct contexts **ret, int map_fd);
/* NULL is fine. */
void contexts__free(struct contexts *c);
/* What a note asks for. Never blocks; what there is no room for, the next note asks for again. */
void contexts__look(struct contexts *c, const struct nt_note *note);

#endif
