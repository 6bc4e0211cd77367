/* SPDX-License-Identifier: Apache-2.0 */
/* A whole configuration: what is in force, printed and read again, is in force again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *env(void *ctx, const char *name)
{
	(void)ctx;
	return strlen(name) == 1 ? "x: ${y}" : NULL;
}

static char *effective(const char *text, size_t len, struct diag *diag)
{
	struct config *c = NULL;
	char *out = NULL;
	size_t out_len;
	FILE *f;

	if (config__parse(&c, text, len, env, NULL, NULL, diag))
		return NULL;
	f = open_memstream(&out, &out_len);
	if (!f || config__print(c, f))
		abort();
	fclose(f);
	config__free(c);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag *diag;
	char *once, *twice;

	if (diag__new(&diag, "f"))
		return 0;
	once = effective((const char *)data, size, diag);
	/* A mask is no user. */
	if (once && !strstr(once, "<secret>")) {
		twice = effective(once, strlen(once), diag);
		if (!twice || strcmp(once, twice)) {
			fprintf(stderr, "%s\nbecomes\n%s\n", once, twice ? twice : "nothing");
			diag__print(diag, stderr);
			abort();
		}
		free(twice);
	}
	free(once);
	diag__free(diag);
	return 0;
}
