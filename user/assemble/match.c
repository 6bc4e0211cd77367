/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three ways, the cheapest first. One writer: all is its. One thread: its notes are in its order,
 * each range is its note's place. Otherwise the bytes are laid out with notes in every way that
 * their counts and hashes allow, and a range has a name if all ways agree on it.
 *
 * All ways are found together, forgetting how often a note may be used (which allows more ways than
 * there are, never fewer): forward from the start, each place that a row of notes can reach, and
 * each note that fits there is a piece; then backward from the end, those pieces are kept that a
 * row to the end goes on from. Notes with equal count and hash are one class, and its writer is
 * what they have in common. Kept pieces that overlap are a dispute: what its pieces have in common
 * is said of all of it.
 *
 * One note without a hash may have its bytes anywhere, in parts: then there are no pieces.
 */
#include "assemble/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "event.h"

/* Hashes that one call computes; what would need more stays without a name. */
#define MAX_HASHES (1u << 17)

struct class
{
	uint64_t count;
	uint64_t hash;
	uint8_t last; /* byte, in the hash too: it spares most hashes where writes are lines */
	size_t notes;
	size_t next; /* of the first with its count and last byte: the first without */
	struct match_writer writer;
};

struct piece {
	uint32_t from;
	uint32_t class;
};

struct layout {
	const char *bytes;
	size_t len;
	struct class *classes; /* by count, last byte, hash */
	size_t n_classes;
	uint8_t *reached; /* len + 1 */
	struct piece *pieces;
	size_t n_pieces, max_pieces;
	size_t hashes;
};

uint64_t match__hash(const char *bytes, size_t len)
{
	size_t last = len > NT_NOTE_PART ? len - NT_NOTE_PART : 0;
	const size_t starts[] = {0, last / 2, last};
	char part[NT_NOTE_PART] = {0};
	uint64_t h = len, word;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		memcpy(part, bytes + starts[i], MIN(len, (size_t)NT_NOTE_PART));
		for (size_t at = 0; at < NT_NOTE_PART; at += sizeof(word)) {
			memcpy(&word, part + at, sizeof(word));
			NT_NOTE_MIX(h, word);
		}
	}
	return (h & ~(uint64_t)UINT8_MAX) | (uint8_t)bytes[len - 1];
}

/* What both are. False: `w` lost something by it. */
static bool narrow(struct match_writer *w, const struct match_writer *other)
{
	const struct line_trace none = {0};
	bool same = true;

	if (w->pid != other->pid || memcmp(w->comm, other->comm, sizeof(w->comm))) {
		*w = (struct match_writer){0};
		return false;
	}
	if (w->tid != other->tid) {
		w->tid = 0;
		same = false;
	}
	if (memcmp(&w->trace, &other->trace, sizeof(none))) {
		w->trace = none;
		same = false;
	}
	return same;
}

static int compare_classes(const void *left, const void *right)
{
	const struct class *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	if (a->last != b->last)
		return a->last < b->last ? -1 : 1;
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return 0;
}

static void classify(struct layout *l, const struct match_note *notes, size_t n)
{
	size_t last = 0;

	for (size_t i = 0; i < n; i++)
		l->classes[i] = (struct class){.count = notes[i].count,
					       .hash = notes[i].hash,
					       .last = (uint8_t)notes[i].hash,
					       .notes = 1,
					       .writer = notes[i].writer};
	qsort(l->classes, n, sizeof(*l->classes), compare_classes);
	for (size_t i = 1; i < n; i++) {
		if (compare_classes(&l->classes[last], &l->classes[i])) {
			l->classes[++last] = l->classes[i];
			continue;
		}
		narrow(&l->classes[last].writer, &l->classes[i].writer);
		l->classes[last].notes++;
	}
	l->n_classes = last + 1;
	for (size_t i = 0, first = 0; i < l->n_classes; i++) {
		if (l->classes[i].count != l->classes[first].count ||
		    l->classes[i].last != l->classes[first].last)
			first = i;
		l->classes[first].next = i + 1;
	}
}

/* Of those with count and last byte of `first`. NULL: none has the hash. */
static const struct class *find_class(const struct layout *l, const struct class *first,
				      uint64_t hash)
{
	const struct class key = {.count = first->count, .last = first->last, .hash = hash};
	size_t n = first->next - (size_t)(first - l->classes);

	return bsearch(&key, first, n, sizeof(key), compare_classes);
}

/* The pieces that begin at `at`. False: more than is worth looking at. */
static bool lay_at(struct layout *l, size_t at)
{
	for (size_t i = 0; i < l->n_classes; i = l->classes[i].next) {
		const struct class *class = &l->classes[i];
		uint64_t count = class->count;

		if (count > l->len - at)
			break;
		if ((uint8_t)l->bytes[at + count - 1] != class->last)
			continue;
		if (l->hashes++ == MAX_HASHES)
			return false;
		class = find_class(l, class, match__hash(l->bytes + at, count));
		if (!class)
			continue;
		if (l->n_pieces == l->max_pieces)
			return false;
		l->pieces[l->n_pieces++] =
			(struct piece){(uint32_t)at, (uint32_t)(class - l->classes)};
		l->reached[at + count] = 1;
	}
	return true;
}

static size_t piece_end(const struct layout *l, const struct piece *p)
{
	return p->from + l->classes[p->class].count;
}

/* The pieces of all rows from start to end. False: none, or too many. */
static bool lay(struct layout *l)
{
	size_t kept = l->max_pieces;

	l->reached[0] = 1;
	for (size_t at = 0; at < l->len; at++)
		if (l->reached[at] && !lay_at(l, at))
			return false;
	if (!l->reached[l->len])
		return false;
	memset(l->reached, 0, l->len);
	for (size_t i = l->n_pieces; i-- > 0;) {
		if (!l->reached[piece_end(l, &l->pieces[i])])
			continue;
		l->reached[l->pieces[i].from] = 1;
		l->pieces[--kept] = l->pieces[i];
	}
	l->n_pieces = l->max_pieces - kept;
	memmove(l->pieces, l->pieces + kept, l->n_pieces * sizeof(*l->pieces));
	return true;
}

/* Each note has its bytes somewhere. If not, its hash is not that of its bytes, and nothing is
 * certain. */
static bool all_notes_have_a_place(struct layout *l)
{
	for (size_t i = 0; i < l->n_pieces; i++) {
		struct class *class = &l->classes[l->pieces[i].class];

		class->notes -= class->notes > 0;
	}
	for (size_t i = 0; i < l->n_classes; i++)
		if (l->classes[i].notes)
			return false;
	return true;
}

static void tell(const struct layout *l, const struct match_writer *whole, match_range_fn fn,
		 void *ctx)
{
	for (size_t i = 0, next; i < l->n_pieces; i = next) {
		struct match_writer w = l->classes[l->pieces[i].class].writer;
		size_t end = piece_end(l, &l->pieces[i]);

		for (next = i + 1; next < l->n_pieces && l->pieces[next].from < end; next++) {
			narrow(&w, &l->classes[l->pieces[next].class].writer);
			end = MAX(end, piece_end(l, &l->pieces[next]));
		}
		fn(ctx, end, w.pid ? &w : whole);
	}
}

/* False: nothing was told. */
static bool match(const char *bytes, size_t len, const struct match_note *notes, size_t n,
		  const struct match_writer *whole, match_range_fn fn, void *ctx)
{
	size_t max_pieces = 4 * n + 64;
	_free_ struct class *classes = calloc(n, sizeof(*classes));
	_free_ uint8_t *reached = calloc(len + 1, 1);
	_free_ struct piece *pieces = calloc(max_pieces, sizeof(*pieces));
	struct layout l = {
		.bytes = bytes,
		.len = len,
		.classes = classes,
		.reached = reached,
		.pieces = pieces,
		.max_pieces = max_pieces,
	};

	if (!classes || !reached || !pieces)
		return false;
	classify(&l, notes, n);
	if (!lay(&l) || !all_notes_have_a_place(&l))
		return false;
	tell(&l, whole, fn, ctx);
	return true;
}

void match__ranges(const char *bytes, size_t len, const struct match_note *notes, size_t n,
		   match_range_fn fn, void *ctx)
{
	struct match_writer whole = notes[0].writer;
	bool hashed = notes[0].hashed, one = true, one_thread;

	one_thread = whole.tid != 0;
	for (size_t i = 1; i < n; i++) {
		one_thread &= whole.pid == notes[i].writer.pid &&
			      notes[0].writer.tid == notes[i].writer.tid;
		hashed &= notes[i].hashed;
		one &= narrow(&whole, &notes[i].writer);
	}
	if (!one && one_thread) {
		for (size_t i = 0; i < n; i++)
			fn(ctx, notes[i].at + notes[i].count - notes[0].at, &notes[i].writer);
		return;
	}
	if (one || !hashed || !match(bytes, len, notes, n, &whole, fn, ctx))
		fn(ctx, len, &whole);
}
