/* SPDX-License-Identifier: Apache-2.0 */
/* Executables made here, of nothing but what the loader looks at: right ones, and damaged ones. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/elf_tls.h"

#define NAME "otel_thread_ctx_v1"
#define BASE 0x400000 /* of what is not position-independent */

struct image {
	Elf64_Ehdr head;
	Elf64_Phdr segments[3]; /* the file, dynamic, thread-local */
	Elf64_Dyn dynamic[6];
	Elf64_Sym symbols[4];
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
		uint64_t bloom;
		uint32_t bucket[1];
		uint32_t chain[3];
	} gnu_hash;
	struct {
		uint32_t buckets, chains;
		uint32_t bucket[1];
		uint32_t chain[4];
	} hash;
	char strings[64];
};

static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	while (*name)
		h = h * 33 + (uint8_t)*name++;
	return h;
}

/* `base`: where it is mapped. The symbol is the last of three, each in the way of the next. */
static struct image make(uint64_t base, uint64_t value, uint64_t size, uint64_t align)
{
	static const char strings[] = "\0other\0otel_thread_ctx_v0\0" NAME;
	struct image m = {.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					       ELFDATA2LSB, EV_CURRENT},
				   .e_type = base ? ET_EXEC : ET_DYN,
#if defined(__x86_64__)
				   .e_machine = EM_X86_64,
#else
				   .e_machine = EM_AARCH64,
#endif
				   .e_phoff = offsetof(struct image, segments),
				   .e_phentsize = sizeof(Elf64_Phdr),
				   .e_phnum = 3}};
#define AT(field) (base + offsetof(struct image, field))
	m.segments[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = base, .p_filesz = sizeof(m), .p_memsz = sizeof(m)};
	m.segments[1] = (Elf64_Phdr){.p_type = PT_DYNAMIC,
				     .p_offset = offsetof(struct image, dynamic),
				     .p_vaddr = AT(dynamic),
				     .p_filesz = sizeof(m.dynamic)};
	m.segments[2] = (Elf64_Phdr){
		.p_type = PT_TLS, .p_vaddr = base + 0x10000, .p_memsz = size, .p_align = align};
	m.dynamic[0] = (Elf64_Dyn){DT_SYMTAB, {AT(symbols)}};
	m.dynamic[1] = (Elf64_Dyn){DT_STRTAB, {AT(strings)}};
	m.dynamic[2] = (Elf64_Dyn){DT_STRSZ, {sizeof(m.strings)}};
	m.dynamic[3] = (Elf64_Dyn){DT_GNU_HASH, {AT(gnu_hash)}};
	m.dynamic[4] = (Elf64_Dyn){DT_SYMENT, {sizeof(Elf64_Sym)}};
#undef AT
	memcpy(m.strings, strings, sizeof(strings));
	m.gnu_hash.buckets = 1;
	m.gnu_hash.first = 1;
	m.gnu_hash.bloom_words = 1;
	m.gnu_hash.bucket[0] = 1;
	m.hash.buckets = 1;
	m.hash.chains = 4;
	m.hash.bucket[0] = 1;
	for (uint32_t i = 1, name = 1; i < 4; i++) {
		m.symbols[i] = (Elf64_Sym){.st_name = name,
					   .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS),
					   .st_shndx = 1,
					   .st_value = i == 3 ? value : 0};
		m.gnu_hash.chain[i - 1] = (gnu_hash(strings + name) & ~1u) | (i == 3);
		m.hash.chain[i] = i < 3 ? i + 1 : 0;
		name += (uint32_t)strlen(strings + name) + 1;
	}
	return m;
}

static int look_in(const void *bytes, size_t len, int64_t *ret)
{
	_close_ int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	return elf_tls__offset(fd, NAME, ret);
}

static int look(const struct image *m)
{
	int64_t offset = 0;
	int r = look_in(m, sizeof(*m), &offset);

	assert_true((r == 0) == (offset != 0));
	return r;
}

static int64_t offset_in(const struct image *m)
{
	int64_t offset = 0;

	assert_int_equal(look_in(m, sizeof(*m), &offset), 0);
	return offset;
}

static void offsets(void **state _unused_)
{
	static const struct {
		uint64_t value, size, align, skew; /* of the block's address */
		int64_t x86_64, arm64;
	} rows[] = {
		{0, 8, 8, 0, -8, 16},	      {0, 8, 0, 0, -8, 16},
		{0, 8, 1, 0, -8, 16},	      {8, 16, 8, 0, -8, 24},
		{0, 12, 8, 0, -16, 16},	      {0xd0, 0xd8, 64, 0, -0x30, 0x110},
		{0, 0xd8, 64, 0, -0x100, 64}, {0, 8, 64, 8, -56, 72},
		{0, 0x40, 64, 16, -112, 16},  {0x1000, 0x2000, 4096, 0, -0x1000, 0x2000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image m = make(0, rows[i].value, rows[i].size, rows[i].align);
		struct image fixed = make(BASE, rows[i].value, rows[i].size, rows[i].align);
#if defined(__x86_64__)
		int64_t expected = rows[i].x86_64;
#else
		int64_t expected = rows[i].arm64;
#endif

		m.segments[2].p_vaddr += rows[i].skew;
		fixed.segments[2].p_vaddr += rows[i].skew;
		if (offset_in(&m) != expected)
			fail_msg("row %zu: %lld", i, (long long)offset_in(&m));
		assert_int_equal(offset_in(&fixed), expected);
		m.dynamic[3] = (Elf64_Dyn){DT_HASH, {offsetof(struct image, hash)}};
		assert_int_equal(offset_in(&m), expected);
	}
}

static void no_such_symbol(void **state _unused_)
{
	struct image m = make(0, 8, 16, 8);

	m.symbols[3].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	assert_int_equal(look(&m), -ENOENT);
	m = make(0, 8, 16, 8);
	m.symbols[3].st_shndx = SHN_UNDEF;
	assert_int_equal(look(&m), -ENOENT);
	m = make(0, 8, 16, 8);
	m.strings[m.symbols[3].st_name + 3] = 'x';
	assert_int_equal(look(&m), -ENOENT);
	m = make(0, 8, 16, 8);
	m.gnu_hash.bucket[0] = 0;
	assert_int_equal(look(&m), -ENOENT);
	m = make(0, 8, 16, 8);
	m.segments[2].p_type = PT_NOTE;
	assert_int_equal(look(&m), -ENOENT);
	m = make(0, 8, 16, 8);
	m.segments[1].p_type = PT_NOTE;
	assert_int_equal(look(&m), -ENOENT);
}

static void damaged(void **state _unused_)
{
	static const struct {
		size_t at, len;
		uint64_t value;
	} damages[] = {
#define DAMAGE(field, value) \
	{offsetof(struct image, field), sizeof(((struct image *)NULL)->field), value}
		DAMAGE(head.e_ident[0], 0),
		DAMAGE(head.e_ident[EI_CLASS], ELFCLASS32),
		DAMAGE(head.e_ident[EI_DATA], ELFDATA2MSB),
		DAMAGE(head.e_machine, EM_386),
		DAMAGE(head.e_type, ET_REL),
		DAMAGE(head.e_phoff, UINT64_MAX),
		DAMAGE(head.e_phoff, 1 << 20),
		DAMAGE(head.e_phentsize, 1),
		DAMAGE(head.e_phnum, 65535),
		DAMAGE(segments[0].p_filesz, 100),
		DAMAGE(segments[0].p_offset, UINT64_MAX),
		DAMAGE(segments[1].p_offset, INT64_MAX),
		DAMAGE(segments[2].p_align, 24),
		DAMAGE(segments[2].p_align, 1ull << 40),
		DAMAGE(segments[2].p_memsz, UINT64_MAX),
		DAMAGE(segments[2].p_memsz, 15),
		DAMAGE(symbols[3].st_value, UINT64_MAX),
		DAMAGE(dynamic[0].d_un.d_val, UINT64_MAX),
		DAMAGE(dynamic[1].d_un.d_val, UINT64_MAX),
		DAMAGE(dynamic[3].d_un.d_val, UINT64_MAX),
		DAMAGE(dynamic[4].d_un.d_val, 16),
		DAMAGE(gnu_hash.buckets, 0),
		DAMAGE(gnu_hash.buckets, UINT32_MAX),
		DAMAGE(gnu_hash.first, UINT32_MAX),
		DAMAGE(gnu_hash.bloom_words, UINT32_MAX),
		DAMAGE(gnu_hash.bucket[0], UINT32_MAX),
#undef DAMAGE
	};

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct image m = make(0, 8, 16, 8);

		memcpy((char *)&m + damages[i].at, &damages[i].value, damages[i].len);
		if (look(&m) != -ENOEXEC)
			fail_msg("damage %zu: %d", i, look(&m));
	}
}

/* At every length, and with any byte changed, it comes to an end. */
static void cut_or_changed(void **state _unused_)
{
	struct image whole = make(0, 8, 16, 8);
	char *bytes = (char *)&whole;
	int64_t offset;

	for (size_t len = 0; len < offsetof(struct image, strings); len++)
		assert_true(look_in(bytes, len, &offset) < 0);
	for (size_t i = 0; i < sizeof(whole); i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (char)(1 << bit);
			look(&whole);
			bytes[i] ^= (char)(1 << bit);
		}
	}
}

static void chains_without_an_end(void **state _unused_)
{
	struct image m = make(0, 8, 16, 8);

	m.strings[m.symbols[3].st_name] = 'x';
	m.dynamic[3] = (Elf64_Dyn){DT_HASH, {offsetof(struct image, hash)}};
	m.hash.chain[3] = 1;
	assert_int_equal(look(&m), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets),
		cmocka_unit_test(no_such_symbol),
		cmocka_unit_test(damaged),
		cmocka_unit_test(cut_or_changed),
		cmocka_unit_test(chains_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
