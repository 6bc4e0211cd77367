/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs, and where they end for good. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "process/logfmt.h"

/* `[key|value]` for each pair, then `!` when it ended in an error. */
static void check(const char *text, const char *expected)
{
	_arena_ struct arena a = {0};
	_buf_ struct buf out = {0};
	size_t len = strlen(text);
	/* A block of its own: nothing behind it may be read. */
	_free_ char *block = malloc(len ? len : 1);
	struct logfmt l = {.p = block, .end = block + len};
	struct logfmt_pair pair;
	int result;

	assert_non_null(block);
	memcpy(block, text, len);
	while ((result = logfmt__next(&l, &a, &pair)) == 1)
		buf__printf(&out, "[%.*s|%.*s]", (int)pair.key_len, pair.key, (int)pair.value_len,
			    pair.value);
	if (result)
		assert_int_equal(result, -EINVAL);
	buf__append(&out, result ? "!" : "", result ? 2 : 1);
	if (strcmp(out.data, expected) != 0)
		fail_msg("%s: %s, expected %s", text, out.data, expected);
}

static void documented(void **state)
{
	(void)state;
	check("time=2012-11-01T22:08:41+00:00 app=loki level=WARN duration=125 "
	      "message=\"this is a log line\" extra=\"user=foo\"",
	      "[time|2012-11-01T22:08:41+00:00][app|loki][level|WARN][duration|125]"
	      "[message|this is a log line][extra|user=foo]");
	check("user=foo", "[user|foo]");
	check("\n\t\ttime=1 app=loki\tlevel=WARN message=\"a b\" extra=\"user=foo\"\"\n\t",
	      "[time|1][app|loki][level|WARN][message|a b][extra|user=foo]!");
}

static void shapes(void **state)
{
	(void)state;
	check("", "");
	check(" \t\r\n\x01", "");
	check("a", "[a|]");
	check("a b", "[a|][b|]");
	check("a= b=\"\" c", "[a|][b|][c|]");
	check("a=", "[a|]");
	check("a=\"b c\"d=e", "[a|b c][d|e]");
	check("a.b-c/d[0]=x", "[a.b-c/d[0]|x]");
	check("größe=ü \xc3\xbc=1", "[größe|ü][ü|1]");
	check("a=\xff", "[a|\xff]");
	check("a=1\nb=2\r\nc=3", "[a|1][b|2][c|3]");
	check("a=1 a=2", "[a|1][a|2]");
}

static void escapes(void **state)
{
	(void)state;
	check("a=\"\\\"\\\\\\/\\'\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude80\\ud83d\"",
	      "[a|\"\\/'\b\f\n\r\té🚀\xef\xbf\xbd]");
	check("a=\"\\\"\" b=1", "[a|\"][b|1]");
	check("a=\"tab\there\"", "[a|tab\there]");
	check("a=b\\n", "[a|b\\n]");
}

static void errors(void **state)
{
	(void)state;
	check("{\"invalid\":\"logfmt\"}", "!");
	check("=", "!");
	check("a=1 =2 b=3", "[a|1]!");
	check("a=1 b\"c d=4", "[a|1]!");
	check("a=1 b=c=d e=5", "[a|1]!");
	check("a=1 b=c\"d\" e=5", "[a|1]!");
	check("a=1 b=\"open", "[a|1]!");
	check("a=1 b=\"open\nc=\"2\"", "[a|1]!");
	check("a=1 b=\"\\\nc=2", "[a|1]!");
	check("a=1 b=\"\\", "[a|1]!");
	check("a=1 b=\"\\x\" c=3", "[a|1]!");
	check("a=1 b=\"\\u12\" c=3", "[a|1]!");
	check("a=1 \xff=2 c=3", "[a|1]!");
	check("a=1 \xef\xbf\xbd c=3", "[a|1]!");
}

static void no_memory(void **state)
{
	_arena_ struct arena a = {.max = 1};
	const char *text = "a=\"\\n\"";
	struct logfmt l = {.p = text, .end = text + strlen(text)};
	struct logfmt_pair pair;

	(void)state;
	arena__alloc(&a, 1);
	assert_int_equal(logfmt__next(&l, &a, &pair), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented), cmocka_unit_test(shapes),
		cmocka_unit_test(escapes),    cmocka_unit_test(errors),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
