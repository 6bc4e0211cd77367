/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of health checks, and lines that only look like them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/health.h"

static void check(const char *const *lines, size_t n, bool expected)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(lines[i]);
		_free_ char *block = malloc(len ? len : 1);

		assert_non_null(block);
		memcpy(block, lines[i], len);
		if (health__is_check(block, len) != expected)
			fail_msg("%s", lines[i]);
	}
}

static void checks(void **state)
{
	static const char *const lines[] = {
		"GET /health",
		"GET /ready",
		"GET /metrics",
		"HEAD /healthz HTTP/1.0",
		"10.0.0.1 - - [21/Nov/2026:20:31:49 +0000] \"GET /health HTTP/1.1\" 200 2 \"-\" "
		"\"curl/8\"",
		"10.0.0.1 - - [21/Nov/2026:20:31:49 +0000] \"GET /x HTTP/1.1\" 200 2 \"-\" "
		"\"kube-probe/1.31\"",
		"\"GET /readyz?verbose=1 HTTP/2.0\" 204 0",
		"GET /health/live 200 1ms",
		"[GIN] | 200 | 1ms | GET    \"/healthz\" method=GET",
		"{\"method\":\"GET\",\"path\":\"/healthz\",\"status\":200}",
		"{\"req\":{\"method\": \"HEAD\",\"url\": "
		"\"/ready?x=1\"},\"res\":{\"statusCode\":200}}",
		"method=GET path=/healthz status=200 duration=401us",
		"ts=1 path=\"/livez\" method=\"GET\"",
		"GET /-/healthy 200",
		"GET /-/ready",
		"GET /actuator/health/liveness",
		"{\"user_agent\":\"kube-probe/1.31\",\"path\":\"/anything\"}",
		"GET /health 200 4096",
	};

	(void)state;
	check(lines, ARRAY_SIZE(lines), true);
}

static void others(void **state)
{
	static const char *const lines[] = {
		"",
		"/health",
		"GET",
		"GET /healthy",
		"GET /healthcare/plans",
		"GET /metrics/daily",
		"GET /api/health",
		"GET /",
		"POST /health",
		"TARGET /health",
		"GET https://example.com/health",
		"listening on /health",
		"GET /api failed: is /health up?",
		"{\"msg\":\"GET it\",\"path\":\"/healthz\"}",
		"path=/healthz",
		"{\"method\":\"POST\",\"path\":\"/healthz\"}",
		"kube-prober started",
	};

	(void)state;
	check(lines, ARRAY_SIZE(lines), false);
}

static void failures_stay(void **state)
{
	static const char *const lines[] = {
		"\"GET /health HTTP/1.1\" 503 2 \"-\" \"kube-probe/1.31\"",
		"\"GET /metrics HTTP/1.1\" 401",
		"{\"method\":\"GET\",\"path\":\"/healthz\",\"status\":500}",
		"{\"method\":\"GET\",\"path\":\"/healthz\",\"status_code\": \"503\"}",
		"{\"req\":{\"method\":\"GET\",\"url\":\"/ready\"},\"res\":{\"statusCode\":503}}",
		"method=GET path=/healthz status=503",
		"GET /ready code: 500",
	};

	(void)state;
	check(lines, ARRAY_SIZE(lines), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks),
		cmocka_unit_test(others),
		cmocka_unit_test(failures_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
