/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which cgroups are captured, by their paths. The same table and the same code for both sides: the
 * kernel registers what starts in a cgroup a moment after it was made, and user space reads engine
 * and id off the same name. Little-endian, as all machines that notail is built for.
 */
#ifndef NT_CGROUP_NAMES_H
#define NT_CGROUP_NAMES_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define NT_ID_DIGITS 64

/*
 * X(before, after, engine): a container's path ends in before, 64 hexadecimal digits, after. What
 * begins with / begins its component; what does not is systemd's notation slice:prefix:id, taken
 * literally by a runtime on the cgroupfs driver. An empty engine: the parent's name decides.
 * crun puts the payload one level down, beside what systemd manages.
 */
#define NT_CONTAINER_NAMES(X)                         \
	X("/", "", "")                                \
	X("/docker-", ".scope", "docker")             \
	X("/cri-containerd-", ".scope", "containerd") \
	X("/nerdctl-", ".scope", "containerd")        \
	X("/crio-", ".scope", "cri-o")                \
	X("/crio-", "", "cri-o")                      \
	X("/crio-", ".scope/container", "cri-o")      \
	X("/crio-", "/container", "cri-o")            \
	X("/libpod-", ".scope", "podman")             \
	X("/libpod-", "", "podman")                   \
	X("/libpod-", ".scope/container", "podman")   \
	X("/libpod-", "/container", "podman")         \
	X(".slice:docker:", "", "docker")             \
	X(".slice:cri-containerd:", "", "containerd") \
	X(".slice:crio:", "", "cri-o")                \
	X(".slice:libpod:", "", "podman")

/* What lies around the digits: the 24 bytes before them, the nearest 8 first, and those behind. */
struct nt_around {
	__u64 before[3];
	__u64 after[3];
};

/* Eight bytes of a string constant from `at` on, and zeros behind its end. */
#define nt_constant_byte(s, at, i)                                                               \
	((at) + (i) < sizeof(s) ? (__u64)(unsigned char)(s)[((at) + (i)) % sizeof(s)] << 8 * (i) \
				: 0)
#define nt_constant_word(s, at)                                                                 \
	(nt_constant_byte(s, at, 0) | nt_constant_byte(s, at, 1) | nt_constant_byte(s, at, 2) | \
	 nt_constant_byte(s, at, 3) | nt_constant_byte(s, at, 4) | nt_constant_byte(s, at, 5) | \
	 nt_constant_byte(s, at, 6) | nt_constant_byte(s, at, 7))

/* Of n bytes those that lie in a word, i words away. */
#define NT_PART(n, i) ((n) <= 8 * (i) ? 0 : (n)-8 * (i) < 8 ? (n)-8 * (i) : 8)

/* Without the NUL: an i-th word from the end. */
#define nt_is_before(a, s, i)                                                                      \
	(NT_PART(sizeof(s) - 1, i) == 0 ||                                                         \
	 (((a)->before[i] ^ nt_constant_word(s, sizeof(s) - 1 - 8 * (i)-NT_PART(sizeof(s) - 1, i)) \
				    << 8 * (8 - NT_PART(sizeof(s) - 1, i)) % 64) >>                \
	  8 * (8 - NT_PART(sizeof(s) - 1, i)) % 64) == 0)

/* With its NUL: what follows that in the word is of no path. */
#define nt_is_after(a, s, i)                                                           \
	(NT_PART(sizeof(s), i) == 0 || (((a)->after[i] ^ nt_constant_word(s, 8 * (i))) \
					<< 8 * (8 - NT_PART(sizeof(s), i)) % 64) == 0)

static inline __attribute__((always_inline)) int nt_names_container(const struct nt_around *a)
{
#define NT_NAME_MATCHES(prefix, suffix, engine)                         \
	if (nt_is_before(a, prefix, 0) && nt_is_before(a, prefix, 1) && \
	    nt_is_before(a, prefix, 2) && nt_is_after(a, suffix, 0) &&  \
	    nt_is_after(a, suffix, 1) && nt_is_after(a, suffix, 2))     \
		return 1;
	NT_CONTAINER_NAMES(NT_NAME_MATCHES)
#undef NT_NAME_MATCHES
	return 0;
}

/* Cgroups that are asked for, by patterns: at most so many, each with its NUL at most so long. */
#define NT_ASKED_MAX 32
#define NT_ASKED_LEN 256

/*
 * A path and a pattern, each looked at where they stand. `*` and `?` match within one component,
 * everything else stands for itself. A pattern that ends where a component does matches what is
 * below, too. To go back to the last * is enough: each component of the pattern matches exactly one
 * of the path.
 */
struct nt_match {
	__u64 at, in; /* in the path, in the pattern */
	__u64 star_at,
		star_in; /* of the last *: where it ends in the path; behind it. star_in 0: none */
	__u64 widen;	 /* the last * takes one byte more: `at` is at that byte */
};

/* With the bytes that they stand at. 1: it matches, -1: it does not, 0: it goes on. */
static inline __attribute__((always_inline)) int nt_match_step(struct nt_match *m, char c,
							       char wanted)
{
	int ends = !c || c == '/';

	if (m->widen) {
		if (ends)
			return -1;
		m->widen = 0;
		m->at = ++m->star_at;
		m->in = m->star_in;
		return 0;
	}
	if (!wanted && ends)
		return 1;
	if (wanted == '*') {
		m->star_at = m->at;
		m->star_in = ++m->in;
		return 0;
	}
	if (c && (c == wanted || (wanted == '?' && c != '/'))) {
		m->at++;
		m->in++;
		return 0;
	}
	if (!m->star_in)
		return -1;
	m->at = m->star_at;
	m->widen = 1;
	return 0;
}

#endif
