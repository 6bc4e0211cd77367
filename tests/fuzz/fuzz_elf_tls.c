/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executable as a container may bring it. The input is what lies in a file that is right where
 * it begins: the first byte says how much of it stays so.
 */
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "capture/elf_tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENTS 3
#define START (sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr))

static size_t make_start(uint8_t *file)
{
	Elf64_Ehdr head = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
		.e_type = ET_DYN,
#if defined(__x86_64__)
		.e_machine = EM_X86_64,
#else
		.e_machine = EM_AARCH64,
#endif
		.e_phoff = sizeof(head),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = SEGMENTS
	};
	const Elf64_Phdr segments[SEGMENTS] = {
		{.p_type = PT_LOAD, .p_filesz = 65536, .p_memsz = 65536},
		{.p_type = PT_DYNAMIC, .p_offset = START, .p_filesz = 6 * sizeof(Elf64_Dyn)},
		{.p_type = PT_TLS, .p_vaddr = 4096, .p_memsz = 64, .p_align = 16},
	};

	memcpy(file, &head, sizeof(head));
	memcpy(file + sizeof(head), segments, sizeof(segments));
	return START;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[65536];
	static int fd = -1;
	int64_t offset = 0;
	size_t len = 0;

	if (!size || size > sizeof(file) - START)
		return 0;
	if (fd < 0)
		fd = memfd_create("elf", MFD_CLOEXEC);
	if (data[0] & 1)
		len = make_start(file);
	memcpy(file + len, data + 1, size - 1);
	len += size - 1;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, file, len, 0) != (ssize_t)len)
		abort();
	if ((elf_tls__offset(fd, "otel_thread_ctx_v1", &offset) == 0) != (offset != 0))
		abort();
	return 0;
}
