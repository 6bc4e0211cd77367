/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-1988: blocks of 512 bytes, numbers in octal; all that a handful of small files needs. */
#include "base/ustar.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define BLOCK 512
#define MAX_SIZE 077777777777ull

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "one block");

static void put_octal(char *field, size_t size, uint64_t value)
{
	field[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static int put(FILE *out, const void *data, size_t len)
{
	static const char zeros[BLOCK];
	size_t rest = (BLOCK - len % BLOCK) % BLOCK;

	if ((len && fwrite(data, len, 1, out) != 1) || (rest && fwrite(zeros, rest, 1, out) != 1))
		return -EIO;
	return 0;
}

int ustar__add(FILE *out, const char *name, const void *data, size_t len, uint64_t mtime_s)
{
	struct header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	const unsigned char *bytes = (const unsigned char *)&h;
	unsigned sum = 0;
	int err;

	if (!*name || strlen(name) >= sizeof(h.name) || len > MAX_SIZE)
		return -EINVAL;
	memcpy(h.name, name, strlen(name));
	put_octal(h.mode, sizeof(h.mode), 0600);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), len);
	put_octal(h.mtime, sizeof(h.mtime), MIN(mtime_s, MAX_SIZE));
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += bytes[i];
	put_octal(h.sum, sizeof(h.sum) - 1, sum);
	err = put(out, &h, sizeof(h));
	return err ? err : put(out, data, len);
}

int ustar__end(FILE *out)
{
	static const char zeros[2 * BLOCK];

	return fwrite(zeros, sizeof(zeros), 1, out) == 1 ? 0 : -EIO;
}
