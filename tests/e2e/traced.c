// SPDX-License-Identifier: Apache-2.0
/*
 * usage: traced
 * Does as an OpenTelemetry SDK would: three threads publish what they work for (OTEP 4947), and say
 * it in each line, until SIGTERM: "trace TRACE_ID span SPAN_ID", of the third "none", whose record
 * is not valid.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define THREADS 3

struct record {
	uint8_t trace_id[16], span_id[8];
	uint8_t valid, flags;
	uint16_t attrs_size;
};

extern __thread struct record *otel_thread_ctx_v1;
__thread struct record *otel_thread_ctx_v1;

static char *put_hex(char *to, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to += sprintf(to, "%02x", bytes[i]);
	return to;
}

static void *run(void *arg)
{
	int n = (int)(intptr_t)arg;
	struct record r = {.valid = n < THREADS - 1};
	char line[128] = "none", *at = line;

	for (int i = 0; i < 16; i++)
		r.trace_id[i] = (uint8_t)(0xf0 * n + i + 1);
	memset(r.span_id, 0xa0 + n, sizeof(r.span_id));
	if (r.valid) {
		at = put_hex(stpcpy(at, "trace "), r.trace_id, sizeof(r.trace_id));
		put_hex(stpcpy(at, " span "), r.span_id, sizeof(r.span_id));
	}
	strcat(line, "\n");
	__atomic_store_n(&otel_thread_ctx_v1, &r, __ATOMIC_RELEASE);
	while (write(STDOUT_FILENO, line, strlen(line)) > 0)
		usleep(10000);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
			return 1;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 1;
}
