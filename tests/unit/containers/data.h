/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a docker 20.10 (API 1.41), recorded. */
#ifndef TEST_CONTAINERS_DATA_H
#define TEST_CONTAINERS_DATA_H

#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

#define WEB_ID "b0db04603b3858384972c3bc19a37461d9fdf1803807106fe8eefd8e94740695"
#define TERMINAL_ID "6425e31e21fab60a4a9cacdd13971750766c54d16ac41d109600c93945a41eae"
#define BRIEF_ID "46ba79b510e75c00c62542bce20215b8808562e9ec1aa1640b8b77b565c7c5e8"
#define CREATED_ID "49adc8eacadabe49d0d5eef8bbe7266a737fadae0708ef629ce8ba85d7f20327"

/* NUL-terminated, to free. Tests run in the tree's root. */
static inline char *data__read(const char *name, size_t *ret_len)
{
	char path[128];
	char *data = malloc(65536);
	_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "tests/unit/containers/data/%s", name);
	f = fopen(path, "re");
	if (!f || !data) {
		perror(path);
		abort();
	}
	*ret_len = fread(data, 1, 65535, f);
	data[*ret_len] = '\0';
	return data;
}

#endif
