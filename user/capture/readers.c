/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers that are found later: those of containerd's binary:// loggers, of a pipe that was handed
 * over, of a FIFO that is opened late.
 *
 * The kernel side counts up nt_searches when a stream is registered without a reader or has lost
 * it, and looks at every read of this host until nt_searched says that the processes which hold the
 * stream's read end are known (bpf/switch.bpf.h). So the first look comes at once. Others follow
 * with growing pauses, for a reader may come by ways that no hook sees (a descriptor that is
 * inherited or passed on); then it is left at that.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/internal.h"
#include "capture/scan.h"

#define FIRST_PAUSE_NS NS_PER_SEC
#define LEAST_PAUSE_NS (50 * NS_PER_MS)
#define MAX_SEARCHES 8 /* the last one two minutes after the first */

static void look_at_reader(void *ret_wanted, const struct nt_stream_key *key,
			   const struct nt_stream *s)
{
	(void)key;
	if (s->tap && !s->reader && !s->denied && (s->pipe || s->file == NT_FILE_TTY))
		*(bool *)ret_wanted = true;
}

static bool any_wants_reader(struct capture *c)
{
	bool wanted = false;

	streams__each(c, look_at_reader, &wanted);
	return wanted;
}

void readers__search(struct capture *c)
{
	uint64_t searches = __atomic_load_n(&c->skel->bss->nt_searches, __ATOMIC_SEQ_CST);
	uint64_t now_ns;
	uint32_t found = 0;
	int r;

	if (searches == c->searched && !c->search_due_ns)
		return;
	now_ns = clock__boot_ns();
	if (searches != c->searched && c->searches) {
		c->searches = 0;
		c->search_due_ns = c->search_ns + LEAST_PAUSE_NS;
	}
	if (now_ns < c->search_due_ns)
		return;
	r = scan__holders(c->skel, &found);
	if (r < 0 && !c->searches)
		log_warn("the readers of some streams cannot be looked for: %s", strerror(-r));
	log_debug("readers: %u open files of streams without one", found);
	c->searched = searches;
	__atomic_store_n(&c->skel->bss->nt_searched, searches, __ATOMIC_SEQ_CST);
	c->search_ns = now_ns;
	c->search_due_ns = 0;
	if (++c->searches < MAX_SEARCHES && any_wants_reader(c))
		c->search_due_ns = now_ns + (FIRST_PAUSE_NS << (c->searches - 1));
}
