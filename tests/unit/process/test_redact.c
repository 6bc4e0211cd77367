/* SPDX-License-Identifier: Apache-2.0 */
/* What each pattern finds, and what looks like it and stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "process/redact.h"

static void check(unsigned patterns, const char *text, const char *expected)
{
	size_t len = strlen(text), at = 0;
	_free_ char *block = malloc(len ? len : 1);
	_buf_ struct buf out = {0};
	struct redact_hit hit;

	assert_non_null(block);
	memcpy(block, text, len);
	while (redact__find(patterns, block, len, at, &hit)) {
		assert_true(hit.start >= at && hit.end > hit.start && hit.end <= len);
		buf__printf(&out, "%.*s<%s>", (int)(hit.start - at), text + at,
			    redact__names[hit.pattern]);
		at = hit.end;
	}
	buf__append(&out, text + at, len - at + 1);
	if (strcmp(out.data, expected) != 0)
		fail_msg("%s: %s, expected %s", text, out.data, expected);
}

struct row {
	const char *text, *expected; /* NULL: stays */
};

static void check_rows(unsigned patterns, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(patterns, rows[i].text, rows[i].expected ? rows[i].expected : rows[i].text);
}

static void emails(void **state)
{
	static const struct row rows[] = {
		{"mail john.doe+tag@example.com now", "mail <email> now"},
		{"user=john_d%x@mail.example.co.uk", "user=<email>"},
		{"<a@b.io>, \"c-d@e-f.org\"; x@y.com.", "<<email>>, \"<email>\"; <email>."},
		{"größe@firma.de", "<email>"},
		{"a@пример.рф,", "<email>,"},
		{"..a@b.io", "..<email>"},
		{"a@b.io-", "<email>-"},
		{"a@b.xn--p1ai", "<email>"},
		{"https://u:p@host.example/x", "https://u:<email>/x"},
		{"a@b.io,b@c.io@d.io", "<email>,<email>@d.io"},
		{"root@localhost", NULL},
		{"git@1.2.3.4", NULL},
		{"@handle.com x", NULL},
		{"a@b", NULL},
		{"a@.com", NULL},
		{"a@b..com", NULL},
		{"a@b.c", NULL},
		{"a@", NULL},
		{"@", NULL},
		{"$@.@@", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_EMAIL, rows, ARRAY_SIZE(rows));
}

static void ipv4s(void **state)
{
	static const struct row rows[] = {
		{"10.0.0.1", "<ipv4>"},
		{"from 192.168.1.254:8080 to 255.255.255.255/32.",
		 "from <ipv4>:8080 to <ipv4>/32."},
		{"ip=1.2.3.4,5.6.7.8", "ip=<ipv4>,<ipv4>"},
		{"[1.2.3.4]", "[<ipv4>]"},
		{"256.1.1.1", NULL},
		{"1.2.3", NULL},
		{"1.2.3.", NULL},
		{"1.2.3.4.5", NULL},
		{"v1.2.3.4", NULL},
		{"1.2.3.4a", NULL},
		{"1.2.3.1234", NULL},
		{".1.2.3.4", NULL},
		{"1.2.3.4@x", NULL},
		{"2026-11-21T20:31:49.123Z", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_IPV4, rows, ARRAY_SIZE(rows));
}

static void ipv6s(void **state)
{
	static const struct row rows[] = {
		{"2001:db8::1", "<ipv6>"},
		{"::1", "<ipv6>"},
		{"from [2001:0db8:85a3:0000:0000:8a2e:0370:7334]:443", "from [<ipv6>]:443"},
		{"fe80::1%eth0", "<ipv6>%eth0"},
		{"peer:2001:db8::1: refused", "peer:<ipv6>: refused"},
		{"is 2001:db8::.", "is <ipv6>."},
		{"::ffff:10.0.0.1", "<ipv6>"},
		{"FE80::AB:1,", "<ipv6>,"},
		{"1::2/64", "<ipv6>/64"},
		{"12:34:56", NULL},
		{"2026-11-21T20:31:49.123Z", NULL},
		{"00:1b:44:11:3a:b7", NULL},
		{"std::dec", NULL},
		{"dead::beef", NULL},
		{"abc::def::1", NULL},
		{"::", NULL},
		{"x::1", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
		{"2001:db8::1g", NULL},
		{"1::12345", NULL},
		{"sha256:9f86d081884c7d659a2feaa0c55ad015", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_IPV6, rows, ARRAY_SIZE(rows));
}

static void cards(void **state)
{
	static const struct row rows[] = {
		{"4111111111111111", "<card>"},
		{"card 4111 1111 1111 1111 ok", "card <card> ok"},
		{"4111-1111-1111-1111", "<card>"},
		{"5555555555554444,", "<card>,"},
		{"2223003122003222", "<card>"},
		{"378282246310005", "<card>"},
		{"3782 822463 10005", "<card>"},
		{"6011111111111117", "<card>"},
		{"3530111333300000", "<card>"},
		{"30569309025904", "<card>"},
		{"4222222222222", "<card>"},
		{"6304000000000000", "<card>"},
		{"{\"pan\":4111111111111111}", "{\"pan\":<card>}"},
		{"4111111111111111 200", "<card> 200"},
		{"200 4111111111111111", "200 <card>"},
		{"4111111111111112", NULL},
		{"41111111111111111", NULL},
		{"x4111111111111111", NULL},
		{"4111111111111111x", NULL},
		{"0.4111111111111111", NULL},
		{"4111111111111111.5", NULL},
		{"4111  1111 1111 1111", NULL},
		{"4111 1111-1111 1111", NULL},
		{"1763757109123456", NULL},
		{"0000000000000000", NULL},
		{"1234567890123", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_CARD, rows, ARRAY_SIZE(rows));
}

#define HEADER "eyJhbGciOiJIUzI1NiJ9"
#define PAYLOAD "eyJzdWIiOiIxMjM0NTY3ODkwIn0"

static void jwts(void **state)
{
	static const struct row rows[] = {
		{"token=" HEADER "." PAYLOAD ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P-FUP0sTk;",
		 "token=<jwt>;"},
		{"\"" HEADER "." PAYLOAD ".\"", "\"<jwt>\""},
		{"jwe " HEADER ".aaaaaaaaaa.bbbb.cccc.dddd x", "jwe <jwt> x"},
		{HEADER "." PAYLOAD, NULL},
		{HEADER, NULL},
		{"eyJ", NULL},
		{"eyJh." PAYLOAD ".x", NULL},
		{"x" HEADER "." PAYLOAD ".x", NULL},
		{"a.b.c", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_JWT, rows, ARRAY_SIZE(rows));
}

static void bearers(void **state)
{
	static const struct row rows[] = {
		{"Authorization: Bearer abc123def", "Authorization: Bearer <bearer>"},
		{"authorization: bearer SECRET", "authorization: bearer <bearer>"},
		{"{\"Authorization\":\"Bearer x\"}", "{\"Authorization\":\"Bearer <bearer>\"}"},
		{"{\\\"authorization\\\":\\\"Bearer x\\\"}",
		 "{\\\"authorization\\\":\\\"Bearer <bearer>\\\"}"},
		{"sent BEARER   a1b2c3d4e5.f6~_+/=-, then", "sent BEARER   <bearer>, then"},
		{"bearer abcdefghijklmnopqrstuvwxyz", "bearer <bearer>"},
		{"bearer a1b2c3.", "bearer <bearer>."},
		{"the bearer of bad news", NULL},
		{"bearer token is missing", NULL},
		{"bearer v1 scheme", NULL},
		{"forbearer abc123def", NULL},
		{"bearer", NULL},
		{"bearer ", NULL},
		{"bearer:abc123def", NULL},
		{"authorization: bearer ", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_BEARER, rows, ARRAY_SIZE(rows));
}

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

static void aws_keys(void **state)
{
	static const struct row rows[] = {
		{"key AKIAIOSFODNN7EXAMPLE.", "key <aws_key>."},
		{"ASIAIOSFODNN7EXAMPLE", "<aws_key>"},
		{"aws_secret_access_key = " SECRET, "aws_secret_access_key = <aws_key>"},
		{"AWS_SECRET_ACCESS_KEY=" SECRET " x", "AWS_SECRET_ACCESS_KEY=<aws_key> x"},
		{"{\"SecretAccessKey\": \"" SECRET "\"}", "{\"SecretAccessKey\": \"<aws_key>\"}"},
		{"AKIAIOSFODNN7EXAMPL", NULL},
		{"AKIAIOSFODNN7EXAMPLEX", NULL},
		{"xAKIAIOSFODNN7EXAMPLE", NULL},
		{"AKIAIOSFODNN7EXAMPLe", NULL},
		{"AROAIOSFODNN7EXAMPLE", NULL},
		{SECRET, NULL},
		{"secret_access_key=" SECRET "X", NULL},
		{"secret_access_key=", NULL},
		{"secret access", NULL},
		{"s", NULL},
	};

	(void)state;
	check_rows(1u << REDACT_AWS_KEY, rows, ARRAY_SIZE(rows));
}

static void all_together(void **state)
{
	(void)state;
	check(REDACT_ALL,
	      "10.0.0.1 - john@example.com [21/Nov/2026:20:31:49 +0000] \"GET /?a=1 HTTP/1.1\" 200 "
	      "from ::1 with 4111-1111-1111-1111",
	      "<ipv4> - <email> [21/Nov/2026:20:31:49 +0000] \"GET /?a=1 HTTP/1.1\" 200 from "
	      "<ipv6> "
	      "with <card>");
	check(REDACT_ALL, "", "");
	check(0, "10.0.0.1 john@example.com", "10.0.0.1 john@example.com");
	check(1u << REDACT_IPV4 | 1u << REDACT_CARD, "10.0.0.1 john@example.com",
	      "<ipv4> john@example.com");
}

/* A local part has an end, which is not in the middle of a character. */
static void long_local_part(void **state)
{
	char text[300] = "", expected[300] = "";

	(void)state;
	for (int i = 0; i < 50; i++)
		strcat(text, "é");
	strcat(text, "x@example.com");
	for (int i = 0; i < 50 - 31; i++)
		strcat(expected, "é");
	strcat(expected, "<email>");
	check(REDACT_ALL, text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emails),
		cmocka_unit_test(ipv4s),
		cmocka_unit_test(ipv6s),
		cmocka_unit_test(cards),
		cmocka_unit_test(jwts),
		cmocka_unit_test(bearers),
		cmocka_unit_test(aws_keys),
		cmocka_unit_test(all_together),
		cmocka_unit_test(long_local_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
