/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of several replicas works: a Lease of coordination.k8s.io/v1, as client-go's leader election
 * uses it, so that others' tools read it. What to ask of the API server next, and what its answers
 * mean; requests and clocks are the caller's. Pure.
 *
 * Clocks of different machines are never compared: a lease that another holds is over when it did
 * not change, here, for as long as it says; one's own ends after two thirds of its duration,
 * counted from before the request that renewed it left.
 */
#ifndef NOTAIL_KUBE_LEASE_H
#define NOTAIL_KUBE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lease;

struct lease_opts {
	const char *namespace, *name; /* all strings are copied */
	const char *identity;	      /* no other process has it */
	uint64_t duration_ns;	      /* whole seconds, at least 3 */
};

enum lease_do { LEASE_WAIT, LEASE_GET, LEASE_CREATE, LEASE_UPDATE };

int lease__new(struct lease **ret, const struct lease_opts *opts);
void lease__free(struct lease *l); /* NULL is fine */

/* How long a request may take, and how often one is made. */
uint64_t lease__timeout_ns(const struct lease *l);
uint64_t lease__retry_ns(const struct lease *l);

/* What to ask now; LEASE_WAIT: nothing before *ret_due_ns. Times are CLOCK_BOOTTIME. */
enum lease_do lease__next(struct lease *l, uint64_t now_ns, uint64_t *ret_due_ns);
/* What the API server was asked at `sent_ns`, and answered; status 0: it did not. 0; -EBADMSG: it
 * answered with what is no Lease. */
int lease__answer(struct lease *l, enum lease_do asked, uint64_t sent_ns, uint64_t now_ns,
		  long status, const char *body, size_t len);
/* It is ours, and surely nobody else's. */
bool lease__leads(const struct lease *l, uint64_t now_ns);
/* When it is not any more, unless it is renewed; 0: it is not ours. */
uint64_t lease__until_ns(const struct lease *l);
/* The body of LEASE_CREATE and LEASE_UPDATE, `real_ns` is the wall clock's; with `release`, one
 * that gives it up. Whatever else is in the Lease stays. 0 or -ENOMEM. */
int lease__body(struct lease *l, uint64_t real_ns, bool release, struct buf *out);
/* Who had it when it was last read; "": nobody, or it was not. */
const char *lease__holder(const struct lease *l);

/* A text that lies in the Lease as an annotation: as last read ("": none), and what is written with
 * the next LEASE_CREATE or LEASE_UPDATE (NULL: what there is). 0 or -ENOMEM. */
const char *lease__note(const struct lease *l);
int lease__set_note(struct lease *l, const char *text);

#endif
