/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a run: its maps and links, pinned in a directory of a BPF file system, and the lock
 * that keeps it to one run at a time.
 *
 *   DIR/v<LAYOUT>/maps/   the maps that a successor takes over, the ring among them
 *   DIR/v<LAYOUT>/state   user space's memory
 *   DIR/v<LAYOUT>/g<N>/   links of the programs of one generation, maps of their own, and `run`,
 * which says what they are and is complete only when all the others are there DIR/old<TIME>/ what
 * could not be taken over
 */
#ifndef NOTAIL_CAPTURE_PINS_H
#define NOTAIL_CAPTURE_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#include "capture.skel.h"
#include "capture/capture.h"
#include "capture/programs.h"

struct pins;

/* What is pinned, for who comes after: the value of the map `run`. */
struct pinned_run {
	uint64_t magic;
	uint64_t layout;   /* of the maps and of .bss, a hash */
	uint64_t identity; /* of programs and settings, a hash */
	uint64_t generation;
	uint32_t hooks; /* enum hook_set, as chosen */
	uint8_t legacy, reads_copied, events_copied, writers_attached;
	uint64_t complete; /* 0: its notail was killed while it pinned */
	char why[256];	   /* as capture__why */
};

/*
 * Makes the directory where there is none, and locks it. -EBUSY: another run has it, ret_why says
 * which. Others: nothing can be pinned there, ret_why says why, one clause.
 */
int pins__new(struct pins **ret, const char *dir, char *ret_why, size_t size);
/* Unlocks; what is pinned stays. NULL is fine. */
void pins__free(struct pins *p);
/* Whether something could be pinned there and would outlive notail; ret_why as above. */
int pins__check(const char *dir, char *ret_why, size_t size);

/* The run that is pinned and complete; what was left half done is removed. -ENOENT: none. */
int pins__find(struct pins *p, struct pinned_run *ret);
/* Its maps become those of an opened skeleton: all (`own`), or those that generations share.
 * -ENOENT, -EINVAL: one is missing, or is another than this build's. */
int pins__reuse(struct pins *p, struct capture_bpf *skel, uint64_t generation, bool own);
/* Opens its links into skel's. *ret_progs: descriptors of the attached programs in the order of the
 * skeleton, -1 where there is none; the caller frees it and closes them. */
int pins__open_links(struct pins *p, struct capture_bpf *skel, uint64_t generation,
		     int **ret_progs);
/* Pins what a loaded and attached skeleton has. On failure what it pinned is gone again. */
int pins__pin(struct pins *p, struct capture_bpf *skel, const struct pinned_run *run);
/* The same for links that came later. */
int pins__pin_writers(struct pins *p, struct capture_bpf *skel, const struct pinned_run *run);
/* Removes the pins of a generation; detached is who has no other reference. */
void pins__remove_generation(struct pins *p, uint64_t generation);
/* What is pinned is out of the way of another, and works until pins__drop_old. */
int pins__bury(struct pins *p);
/* Removes what was buried, and other layouts. *ret_bytes: what of their rings nobody had read.
 * Returns how many there were. */
unsigned pins__drop_old(struct pins *p, uint64_t *ret_bytes);
/* Removes all that is pinned, the directory too. */
void pins__remove_all(struct pins *p);
/* Memory that outlives the run, of at least `bytes`: `*ret_adopted`: it was there. Mapped until
 * pins__free. */
int pins__state(struct pins *p, size_t bytes, void **ret, size_t *ret_size, bool *ret_adopted);

/* A hash of the skeleton's maps and of .bss. */
uint64_t pins__layout(const struct capture_bpf *skel);
/* A hash of programs and settings. */
uint64_t pins__identity(const struct capture_opts *opts);

#endif
