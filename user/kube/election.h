/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes part in the election that a Lease decides (kube/lease.h), and says when this process begins
 * and ceases to be the one that works. On the loop's thread.
 */
#ifndef NOTAIL_KUBE_ELECTION_H
#define NOTAIL_KUBE_ELECTION_H

#include <stdbool.h>
#include <stdint.h>

struct election;
struct kube;
struct loop;

struct election_opts {
	struct loop *loop;
	struct kube *kube;
	const char *namespace, *name, *identity; /* as in struct lease_opts */
	uint64_t duration_ns;
	/* It does now, or does not any more: nothing may leave from then on. */
	void (*leads)(void *ctx, bool leads);
	void *ctx;
};

/* Everything borrowed must outlive it. The first request leaves when the loop runs. */
int election__new(struct election **ret, const struct election_opts *opts);
/* Without giving the Lease up. Not from its callback. NULL is fine. */
void election__free(struct election *e);
/* At this moment, whatever was said last. */
bool election__leads(const struct election *e);
/* Who does; "": nobody, or it is not known. Until the loop goes on. */
const char *election__leader(const struct election *e);
/* What is wrong with the last answer; NULL: nothing. Likewise. */
const char *election__problem(const struct election *e);
/* The Lease was read. */
bool election__knows(const struct election *e);

/* The text beside the Lease, while this process leads: what whoever led before left, and what is
 * written within the time of a retry. */
const char *election__note(const struct election *e);
int election__set_note(struct election *e, const char *text);

/* Gives the Lease up, with the note; `done` when that has been tried: at once where it is not
 * ours, and nothing is under way. Nothing follows it. */
void election__release(struct election *e, void (*done)(void *ctx));

#endif
