/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time. The timer goes off when one is due, and when the Lease ends that nobody
 * renewed in time: that is said before anything else is done.
 */
#include "kube/election.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/lease.h"

#define PATH_LEN 640
#define PROBLEM_LEN 512

struct election {
	struct election_opts opts;
	struct lease *lease;
	struct loop_timer *timer;
	struct http_request *request;
	enum lease_do asked, failed; /* the last one; the one that `problem` is of */
	uint64_t sent_ns;
	struct buf body;
	char all[PATH_LEN], path[PATH_LEN]; /* of the namespace's leases, and of this one */
	char problem[PROBLEM_LEN];
	bool said; /* that it leads */
	bool knows;
	void (*released)(void *ctx); /* NULL: it is not to be given up */
};

static void on_timer(void *ctx);

int election__new(struct election **ret, const struct election_opts *opts)
{
	const struct lease_opts lease = {
		.namespace = opts->namespace,
		.name = opts->name,
		.identity = opts->identity,
		.duration_ns = opts->duration_ns,
	};
	struct election *e = calloc(1, sizeof(*e));
	int err = e ? lease__new(&e->lease, &lease) : -ENOMEM;

	if (!err)
		err = loop__timer(opts->loop, on_timer, e, &e->timer);
	if (err) {
		election__free(e);
		return err;
	}
	e->opts = *opts;
	snprintf(e->all, sizeof(e->all), "/apis/coordination.k8s.io/v1/namespaces/%s/leases",
		 opts->namespace);
	snprintf(e->path, sizeof(e->path), "%.300s/%.300s", e->all, opts->name);
	loop_timer__set(e->timer, 0);
	*ret = e;
	return 0;
}

void election__free(struct election *e)
{
	if (!e)
		return;
	http_request__cancel(e->request);
	loop_timer__free(e->timer);
	lease__free(e->lease);
	buf__free(&e->body);
	free(e);
}

/* Whoever led before left a note: ours is not to be written over it. */
static void say(struct election *e)
{
	bool leads = lease__leads(e->lease, clock__boot_ns());

	if (leads == e->said)
		return;
	e->said = leads;
	if (!leads)
		lease__set_note(e->lease, NULL);
	e->opts.leads(e->opts.ctx, leads);
}

static void set_timer(struct election *e, uint64_t due_ns)
{
	uint64_t now_ns = clock__boot_ns(), until_ns = lease__until_ns(e->lease);

	if (until_ns > now_ns)
		due_ns = MIN(due_ns, until_ns);
	loop_timer__set(e->timer, due_ns - MIN(due_ns, now_ns));
}

static void set_problem(struct election *e, const char *problem)
{
	if (strncmp(e->problem, problem, PROBLEM_LEN - 1) && *problem)
		log_warn("lease %s: %s", e->path, problem);
	snprintf(e->problem, sizeof(e->problem), "%s", problem);
}

static const char *verb(enum lease_do what)
{
	return what == LEASE_GET ? "get" : what == LEASE_CREATE ? "create" : "update";
}

/* There is none yet, or somebody else was faster: that is how it is. */
static bool is_usual(enum lease_do asked, const struct http_answer *a)
{
	return !a->error && (a->status == 409 || (asked == LEASE_GET && a->status == 404));
}

static int ask(struct election *e, enum lease_do what, bool release,
	       void (*done)(void *ctx, const struct http_answer *a))
{
	struct kube_request_opts opts = {
		.path = what == LEASE_CREATE ? e->all : e->path,
		.timeout_ns = lease__timeout_ns(e->lease),
		.done = done,
		.ctx = e,
	};
	int err = 0;

	e->body.len = 0;
	if (what != LEASE_GET)
		err = lease__body(e->lease, clock__real_ns(), release, &e->body);
	if (err)
		return err;
	if (e->body.len) {
		opts.method = what == LEASE_CREATE ? "POST" : "PUT";
		opts.body = e->body.data;
		opts.body_len = e->body.len;
	}
	e->asked = what;
	e->sent_ns = clock__boot_ns();
	return kube__request(e->opts.kube, &opts, &e->request);
}

static void on_released(void *ctx, const struct http_answer *a)
{
	struct election *e = ctx;
	const char *problem = kube__judge(e->opts.kube, a, "update", e->path);

	e->request = NULL;
	if (problem)
		log_warn("lease %s is not given up: %s", e->path, problem);
	e->released(e->opts.ctx);
}

static void give_up(struct election *e)
{
	bool ours = lease__leads(e->lease, clock__boot_ns());

	loop_timer__cancel(e->timer);
	if (!ours || ask(e, LEASE_UPDATE, true, on_released))
		e->released(e->opts.ctx);
}

/* What may not be written can be read all the same: that is no news while writing comes next. */
static bool is_over(struct election *e)
{
	uint64_t due_ns;

	return e->asked != LEASE_GET || e->failed == LEASE_GET ||
	       lease__next(e->lease, clock__boot_ns(), &due_ns) == LEASE_WAIT;
}

static void on_answer(void *ctx, const struct http_answer *a)
{
	struct election *e = ctx;
	const char *problem = kube__judge(e->opts.kube, a, verb(e->asked),
					  e->asked == LEASE_CREATE ? e->all : e->path);

	e->request = NULL;
	if (is_usual(e->asked, a))
		problem = NULL;
	if (lease__answer(e->lease, e->asked, e->sent_ns, clock__boot_ns(),
			  a->error ? 0 : a->status, a->body, a->body_len)) {
		kube__invalid(e->opts.kube);
		problem = "the answer is no Lease";
	}
	if (problem) {
		e->failed = e->asked;
		set_problem(e, problem);
	} else if (is_over(e)) {
		set_problem(e, "");
	}
	e->knows = e->knows || !*e->problem;
	if (e->released) {
		give_up(e);
		return;
	}
	say(e);
	set_timer(e, 0);
}

static void on_timer(void *ctx)
{
	struct election *e = ctx;
	uint64_t due_ns = UINT64_MAX, now_ns = clock__boot_ns();
	enum lease_do what;
	int err;

	say(e);
	if (e->request || e->released) {
		set_timer(e, now_ns + NS_PER_SEC);
		return;
	}
	what = lease__next(e->lease, now_ns, &due_ns);
	if (what == LEASE_WAIT) {
		set_timer(e, due_ns);
		return;
	}
	err = ask(e, what, false, on_answer);
	if (err) {
		e->failed = what;
		set_problem(e, err == -ENOMEM ? "no memory" : kube__problem(e->opts.kube));
		lease__answer(e->lease, what, now_ns, now_ns, 0, NULL, 0);
	}
	set_timer(e, now_ns + NS_PER_SEC);
}

bool election__leads(const struct election *e)
{
	return e->said && lease__leads(e->lease, clock__boot_ns());
}

const char *election__leader(const struct election *e)
{
	return lease__holder(e->lease);
}

const char *election__problem(const struct election *e)
{
	return *e->problem ? e->problem : NULL;
}

bool election__knows(const struct election *e)
{
	return e->knows;
}

const char *election__note(const struct election *e)
{
	return lease__note(e->lease);
}

int election__set_note(struct election *e, const char *text)
{
	return lease__set_note(e->lease, text);
}

/* What is under way may be a renewal, which would make the server refuse what follows. */
void election__release(struct election *e, void (*done)(void *ctx))
{
	e->released = done;
	if (!e->request)
		give_up(e);
}
