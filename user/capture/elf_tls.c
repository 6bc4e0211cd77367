// SPDX-License-Identifier: Apache-2.0
/*
 * The file belongs to whoever made the container's image. So it is read as what it may be: every
 * number in it is checked before it is used, and at most some 300 small reads are made, whatever it
 * says; that is why this is no library's work. The symbol is looked up as the loader does, by the
 * hash table that the dynamic section names: sections may be stripped.
 *
 * The executable's variables come first in a thread's static block, whose place the ABI fixes: its
 * own code has the offset built in. x86-64 has the block end at the thread pointer (variant II),
 * arm64 has it begin two words after it (variant I); both keep p_vaddr's remainder by p_align.
 * Where a library's block lies is the loader's choice and not in any file.
 */
#include "capture/elf_tls.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/util.h"

#define MAX_SEGMENTS 64
#define MAX_DYNAMIC 128
#define MAX_CHAIN 128
#define MAX_NAME 64
#define POINTER_BYTES 8
#define MAX_TLS (1ull << 30)

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

struct elf {
	int fd;
	Elf64_Phdr segments[MAX_SEGMENTS];
	size_t n_segments;
	const Elf64_Phdr *tls;
	/* Addresses, and a length; 0: not there. */
	uint64_t symbols, strings, strings_len, gnu_hash, hash;
};

static int read_at(const struct elf *e, uint64_t off, void *buf, size_t len)
{
	ssize_t n;

	if (off > INT64_MAX - len)
		return -ENOEXEC;
	n = pread(e->fd, buf, len, (off_t)off);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOEXEC;
}

/* What the loader maps at `address`. */
static int read_mapped(const struct elf *e, uint64_t address, void *buf, size_t len)
{
	for (size_t i = 0; i < e->n_segments; i++) {
		const Elf64_Phdr *p = &e->segments[i];
		uint64_t at = address - p->p_vaddr;

		if (p->p_type != PT_LOAD || address < p->p_vaddr || at >= p->p_filesz)
			continue;
		if (p->p_filesz - at < len || p->p_offset > UINT64_MAX - at)
			return -ENOEXEC;
		return read_at(e, p->p_offset + at, buf, len);
	}
	return -ENOEXEC;
}

/* The n-th of an array at `table`. */
static int read_item(const struct elf *e, uint64_t table, uint64_t n, void *buf, size_t size)
{
	uint64_t off, address;

	if (__builtin_mul_overflow(n, size, &off) || __builtin_add_overflow(table, off, &address))
		return -ENOEXEC;
	return read_mapped(e, address, buf, size);
}

static int read_segments(struct elf *e)
{
	Elf64_Ehdr head;
	int r = read_at(e, 0, &head, sizeof(head));

	if (r < 0)
		return r;
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_machine != MACHINE ||
	    (head.e_type != ET_EXEC && head.e_type != ET_DYN) ||
	    head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum > MAX_SEGMENTS)
		return -ENOEXEC;
	e->n_segments = head.e_phnum;
	return read_at(e, head.e_phoff, e->segments, e->n_segments * sizeof(Elf64_Phdr));
}

static bool tls_is_sound(const Elf64_Phdr *tls)
{
	return tls->p_memsz <= MAX_TLS && tls->p_align <= MAX_TLS &&
	       !(tls->p_align & (tls->p_align - 1));
}

static int read_dynamic(struct elf *e, const Elf64_Phdr *dynamic)
{
	uint64_t n = MIN(dynamic->p_filesz / sizeof(Elf64_Dyn), (uint64_t)MAX_DYNAMIC);
	Elf64_Dyn table[MAX_DYNAMIC];
	int r = read_at(e, dynamic->p_offset, table, n * sizeof(*table));

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < n && table[i].d_tag != DT_NULL; i++) {
		uint64_t value = table[i].d_un.d_val;

		if (table[i].d_tag == DT_SYMTAB)
			e->symbols = value;
		else if (table[i].d_tag == DT_STRTAB)
			e->strings = value;
		else if (table[i].d_tag == DT_STRSZ)
			e->strings_len = value;
		else if (table[i].d_tag == DT_GNU_HASH)
			e->gnu_hash = value;
		else if (table[i].d_tag == DT_HASH)
			e->hash = value;
		else if (table[i].d_tag == DT_SYMENT && value != sizeof(Elf64_Sym))
			return -ENOEXEC;
	}
	return 0;
}

static int read_tables(struct elf *e)
{
	const Elf64_Phdr *dynamic = NULL;
	int r = read_segments(e);

	for (size_t i = 0; r == 0 && i < e->n_segments; i++) {
		if (e->segments[i].p_type == PT_TLS)
			e->tls = &e->segments[i];
		else if (e->segments[i].p_type == PT_DYNAMIC)
			dynamic = &e->segments[i];
	}
	if (r < 0)
		return r;
	if (!e->tls || !dynamic)
		return -ENOENT;
	if (!tls_is_sound(e->tls))
		return -ENOEXEC;
	return read_dynamic(e, dynamic);
}

/* -ENOENT: another one. */
static int read_symbol(const struct elf *e, uint64_t n, const char *name, Elf64_Sym *ret)
{
	size_t len = strlen(name) + 1;
	char text[MAX_NAME];
	Elf64_Sym sym;
	uint64_t at;
	int r = read_item(e, e->symbols, n, &sym, sizeof(sym));

	if (r < 0)
		return r;
	if (len > sizeof(text) || len > e->strings_len || sym.st_name > e->strings_len - len)
		return -ENOENT;
	if (__builtin_add_overflow(e->strings, sym.st_name, &at))
		return -ENOEXEC;
	r = read_mapped(e, at, text, len);
	if (r < 0)
		return r;
	if (memcmp(text, name, len) != 0 || sym.st_shndx == SHN_UNDEF)
		return -ENOENT;
	*ret = sym;
	return 0;
}

static int find_by_gnu_hash(const struct elf *e, const char *name, Elf64_Sym *ret)
{
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
	} head;
	uint64_t buckets, chain;
	uint32_t h = 5381, n, link;
	int r = read_mapped(e, e->gnu_hash, &head, sizeof(head));

	for (const char *c = name; *c; c++)
		h = h * 33 + (uint8_t)*c;
	if (r < 0)
		return r;
	if (!head.buckets ||
	    __builtin_add_overflow(e->gnu_hash, sizeof(head) + 8ull * head.bloom_words, &buckets))
		return -ENOEXEC;
	r = read_item(e, buckets, h % head.buckets, &n, sizeof(n));
	if (r < 0)
		return r;
	if (!n)
		return -ENOENT;
	if (n < head.first || __builtin_add_overflow(buckets, 4ull * head.buckets, &chain))
		return -ENOEXEC;
	for (int i = 0; i < MAX_CHAIN; i++, n++) {
		r = read_item(e, chain, n - head.first, &link, sizeof(link));
		if (r < 0)
			return r;
		r = (link | 1) == (h | 1) ? read_symbol(e, n, name, ret) : -ENOENT;
		if (r != -ENOENT || link & 1)
			return r;
	}
	return -ENOENT;
}

/* The older table, of which some linkers make the only one. */
static int find_by_hash(const struct elf *e, const char *name, Elf64_Sym *ret)
{
	uint32_t head[2], h = 0, n; /* buckets, chain */
	int r = read_mapped(e, e->hash, head, sizeof(head));

	for (const char *c = name; *c; c++) {
		h = (h << 4) + (uint8_t)*c;
		h = (h ^ (h >> 28 << 4)) & 0xfffffff;
	}
	if (r < 0)
		return r;
	if (!head[0])
		return -ENOEXEC;
	r = read_item(e, e->hash, 2 + (uint64_t)(h % head[0]), &n, sizeof(n));
	for (int i = 0; r == 0 && i < MAX_CHAIN && n; i++) {
		r = read_symbol(e, n, name, ret);
		if (r != -ENOENT)
			return r;
		r = read_item(e, e->hash, 2 + (uint64_t)head[0] + n, &n, sizeof(n));
	}
	return r < 0 ? r : -ENOENT;
}

static int64_t offset_of(const Elf64_Phdr *tls, uint64_t value)
{
	uint64_t mask = tls->p_align ? tls->p_align - 1 : 0;

#if defined(__x86_64__)
	return (int64_t)(value - tls->p_memsz - ((0 - tls->p_vaddr - tls->p_memsz) & mask));
#elif defined(__aarch64__)
	return (int64_t)(value + 2 * POINTER_BYTES + ((tls->p_vaddr - 2 * POINTER_BYTES) & mask));
#endif
}

int elf_tls__offset(int fd, const char *symbol, int64_t *ret)
{
	struct elf e = {.fd = fd};
	Elf64_Sym sym;
	int r = read_tables(&e);

	if (r < 0)
		return r;
	if (!e.symbols || !e.strings)
		return -ENOENT;
	if (e.gnu_hash)
		r = find_by_gnu_hash(&e, symbol, &sym);
	else
		r = e.hash ? find_by_hash(&e, symbol, &sym) : -ENOENT;
	if (r < 0)
		return r;
	if (ELF64_ST_TYPE(sym.st_info) != STT_TLS)
		return -ENOENT;
	if (sym.st_value > e.tls->p_memsz || e.tls->p_memsz - sym.st_value < POINTER_BYTES)
		return -ENOEXEC;
	*ret = offset_of(e.tls, sym.st_value);
	return 0;
}
