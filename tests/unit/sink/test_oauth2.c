/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/deadline.h"
#include "io/http.h"
#include "io/loop.h"
#include "io/server.h"
#include "sink/oauth2.h"

#define ANSWER(status, text)                                                              \
	{                                                                                 \
		.answer = "HTTP/1.1 " status " Status\r\nConnection: close\r\n\r\n" text, \
		.after = SERVER_CLOSE,                                                    \
	}
#define TOKEN(token) ANSWER("200", "{\"access_token\":\"" token "\",\"token_type\":\"bearer\"}")
/* s3cret, and the name of a client. */
#define BASIC "\r\nAuthorization: Basic bWUlM0F5b3U6czMrY3JldA==\r\n"

struct fixture {
	struct loop *loop;
	struct http *http;
	struct deadline deadline;
	struct server *server;
	struct oauth2 *oauth2;
	unsigned ready;
	char error[1024];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (loop__new(&f->loop) || http__new(&f->http, f->loop) ||
	    deadline__init(&f->deadline, f->loop))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	oauth2__free(f->oauth2);
	http__free(f->http);
	if (f->server)
		server__free(f->server);
	deadline__done(&f->deadline);
	loop__free(f->loop);
	free(f);
	return 0;
}

static void on_ready(void *ctx, const char *error)
{
	struct fixture *f = ctx;

	f->ready++;
	snprintf(f->error, sizeof(f->error), "%s", error ? error : "");
	loop__stop(f->loop);
}

static void serve(struct fixture *f, const struct server_step *steps, size_t n)
{
	f->server = server__new(steps, n, NULL);
	server__start(f->server);
}

static void make(struct fixture *f, struct oauth2_opts opts)
{
	opts.token_url = f->server->url;
	opts.client_id = "me:you";
	if (!opts.client_secret_file)
		opts.client_secret = "s3 cret";
	assert_int_equal(oauth2__new(&f->oauth2, f->http, &opts, on_ready, f), 0);
}

/* The header, or NULL and f->error. */
static const char *header(struct fixture *f)
{
	unsigned before = f->ready;
	const char *text = NULL;
	int err = oauth2__header(f->oauth2, &text);

	if (err == -EAGAIN) {
		assert_int_equal(oauth2__header(f->oauth2, &text), -EAGAIN);
		deadline__run(&f->deadline);
		assert_int_equal(f->ready, before + 1);
		if (*f->error)
			return NULL;
		err = oauth2__header(f->oauth2, &text);
	}
	assert_int_equal(err, 0);
	return text;
}

static const struct server_request *asked(struct fixture *f, size_t i)
{
	server__stop(f->server);
	assert_true(i < f->server->n_requests);
	return &f->server->requests[i];
}

static void kept_until_refused(void **state)
{
	static const struct server_step steps[] = {TOKEN("one"), TOKEN("two")};
	struct fixture *f = *state;

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){0});
	assert_null(oauth2__file(f->oauth2));
	assert_string_equal(header(f), "Authorization: Bearer one");
	assert_string_equal(header(f), "Authorization: Bearer one");
	assert_int_equal(f->ready, 1);
	oauth2__refused(f->oauth2);
	assert_string_equal(header(f), "Authorization: Bearer two");
	assert_int_equal(f->ready, 2);
	assert_non_null(strstr(asked(f, 0)->head, "POST / HTTP/1.1\r\n"));
	assert_non_null(strstr(asked(f, 0)->head, BASIC));
	assert_non_null(strstr(asked(f, 0)->head,
			       "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
	assert_non_null(strstr(asked(f, 0)->head, "\r\nAccept: application/json\r\n"));
	assert_string_equal(asked(f, 0)->body, "grant_type=client_credentials");
	assert_string_equal(asked(f, 1)->body, "grant_type=client_credentials");
	assert_int_equal(f->server->n_requests, 2);
}

static void says_all_of_it(void **state)
{
	static const char *const scopes[] = {"logs:write", "a/b"};
	static const struct oauth2_param params[] = {{"audience", "https://logs.test/?a=b&c"},
						     {"grant_type", "x+y"},
						     {"gr\xc3\xbc", ""}};
	static const struct server_step steps[] = {ANSWER(
		"200", "{\"access_token\":\"t\",\"token_type\":\"MAC\",\"expires_in\":\"3600\"}")};
	struct fixture *f = *state;

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){.scopes = scopes,
				     .n_scopes = ARRAY_SIZE(scopes),
				     .params = params,
				     .n_params = ARRAY_SIZE(params)});
	assert_string_equal(header(f), "Authorization: MAC t");
	assert_string_equal(asked(f, 0)->body, "grant_type=x%2By&scope=logs%3Awrite+a%2Fb&audience="
					       "https%3A%2F%2Flogs.test%2F%3Fa%3Db%26c&gr%C3%BC=");
}

/* Half of a second is all that is left of a life of one. */
static void renewed_before_it_expires(void **state)
{
	static const struct server_step steps[] = {
		ANSWER("200", "{\"access_token\":\"one\",\"expires_in\":1}"),
		ANSWER("200", "{\"access_token\":\"two\",\"expires_in\":0}")};
	struct fixture *f = *state;
	uint64_t begin_ns = clock__boot_ns();

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){0});
	assert_string_equal(header(f), "Authorization: Bearer one");
	while (clock__boot_ns() - begin_ns < DEADLINE_NS && f->ready == 1)
		header(f);
	assert_true(clock__boot_ns() - begin_ns >= 500 * NS_PER_MS);
	assert_string_equal(header(f), "Authorization: Bearer two");
	assert_int_equal(f->ready, 2);
}

/* What it took once, it gets from then on. */
static void secret_in_the_body(void **state)
{
	static const struct server_step steps[] = {ANSWER("401", "{\"error\":\"invalid_client\"}"),
						   TOKEN("one"), TOKEN("two"), ANSWER("401", "")};
	struct fixture *f = *state;

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){0});
	assert_string_equal(header(f), "Authorization: Bearer one");
	oauth2__refused(f->oauth2);
	assert_string_equal(header(f), "Authorization: Bearer two");
	oauth2__refused(f->oauth2);
	assert_null(header(f));
	assert_string_equal(f->error, "no token: status 401");
	assert_non_null(strstr(asked(f, 0)->head, BASIC));
	for (size_t i = 1; i < 4; i++) {
		assert_null(strstr(asked(f, i)->head, "Authorization"));
		assert_string_equal(asked(f, i)->body, "grant_type=client_credentials&client_id="
						       "me%3Ayou&client_secret=s3+cret");
	}
	assert_int_equal(f->server->n_requests, 4);
}

static void refusals(void **state)
{
	static const struct server_step steps[] = {
		ANSWER("400", "{}"),
		ANSWER("400", "{\"error\":\"invalid_scope\",\"error_description\":\"a\\nb\"}"),
		ANSWER("503", "s3 cret"),
		ANSWER("200", "s3 cret"),
		ANSWER("200", "{\"token\":\"x\"}"),
		ANSWER("200", "{\"access_token\":\"\"}"),
		ANSWER("200", "{\"access_token\":\"x\\r\\nX-Other: y\"}"),
		ANSWER("200", "{\"access_token\":\"x\",\"token_type\":\"a\\nb\"}"),
		{.after = SERVER_RESET},
		TOKEN("one"),
	};
	static const char *const errors[] = {
		"no token: status 400: invalid_scope: a b",
		"no token: status 503",
		"no token: its answer has no access_token",
		"no token: its answer has no access_token",
		"no token: its answer has no access_token",
		"no token: its access_token has a control character in it",
		"no token: its access_token has a control character in it",
	};
	struct fixture *f = *state;

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){0});
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		assert_null(header(f));
		assert_string_equal(f->error, errors[i]);
	}
	assert_null(header(f));
	assert_non_null(strstr(f->error, "no token: "));
	assert_string_equal(header(f), "Authorization: Bearer one");
	/* A style that nothing is known of begins with the header again. */
	assert_non_null(strstr(asked(f, 9)->head, BASIC));
}

static void secret_of_a_file(void **state)
{
	static const struct server_step steps[] = {TOKEN("one"), TOKEN("two")};
	char directory[] = "/tmp/notail-test-XXXXXX", path[64];
	struct fixture *f = *state;
	const char *none = NULL;
	FILE *file;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/secret", directory);
	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){.client_secret_file = path});
	assert_string_equal(oauth2__file(f->oauth2), path);
	assert_int_equal(oauth2__header(f->oauth2, &none), -ENOENT);
	assert_null(none);
	for (size_t i = 0; i < 2; i++) {
		file = fopen(path, "we");
		assert_non_null(file);
		fputs(i ? "other\n" : "s3 cret\n", file);
		fclose(file);
		assert_string_equal(header(f),
				    i ? "Authorization: Bearer two" : "Authorization: Bearer one");
		oauth2__refused(f->oauth2);
	}
	assert_non_null(strstr(asked(f, 0)->head, BASIC));
	assert_non_null(strstr(asked(f, 1)->head, "Basic bWUlM0F5b3U6b3RoZXI="));
	unlink(path);
	rmdir(directory);
}

static void freed_while_it_asks(void **state)
{
	static const struct server_step steps[] = {{.after = SERVER_HANG}};
	struct fixture *f = *state;
	const char *none;

	serve(f, steps, ARRAY_SIZE(steps));
	make(f, (struct oauth2_opts){0});
	assert_int_equal(oauth2__header(f->oauth2, &none), -EAGAIN);
	oauth2__free(f->oauth2);
	f->oauth2 = NULL;
	oauth2__free(NULL);
	assert_int_equal(f->ready, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept_until_refused),  TEST(says_all_of_it), TEST(renewed_before_it_expires),
		TEST(secret_in_the_body),  TEST(refusals),	 TEST(secret_of_a_file),
		TEST(freed_while_it_asks),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
