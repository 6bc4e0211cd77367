/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that parse and change text: json, logfmt, regex, replace, decolorize, redact. The
 * first cases of each are those of Promtail's documentation. What was extracted is shown as
 * structured metadata.
 */
#include "pipeline_world.h"

#include <errno.h>
#include <stdlib.h>

#define APACHE                                                                            \
	"11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] \"GET /1986.js HTTP/1.1\" 200 " \
	"932 \"-\" \"Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.1.7) "           \
	"Gecko/20091221 Firefox/3.5.7 GTB6\""

/* One line through the stages; `expected` begins behind the labels. */
static void is(const char *yaml, const char *line, const char *expected)
{
	_world_ struct world w = {0};
	_buf_ struct buf all = {0};

	world__open(&w, "app=x", yaml);
	world__line(&w, line);
	assert_int_equal(buf__printf(&all, "{app=\"x\"} %s\n", expected), 0);
	assert_int_equal(buf__append(&all, "", 1), 0);
	world__expect(&w, all.data);
}

static void dropped(const char *yaml, const char *line)
{
	_world_ struct world w = {0};

	world__open(&w, "app=x", yaml);
	world__line(&w, line);
	assert_int_equal(w.lines, 0);
}

static void refused(const char *yaml, const char *expected)
{
	world__says(NULL, yaml, -EINVAL, expected);
}

static void warned(const char *yaml, const char *expected)
{
	world__says(NULL, yaml, 0, expected);
}

static void json_documented(void **state _unused_)
{
	is("- json: {expressions: {output: log, stream: , timestamp: time}}\n"
	   "- structured_metadata: {stream: , timestamp: }\n- output: {source: output}",
	   "{\"log\":\"log message\\n\",\"stream\":\"stderr\",\"time\":"
	   "\"2019-04-30T02:12:41.8443515Z\"}",
	   "log message\n [stream=stderr timestamp=2019-04-30T02:12:41.8443515Z]");
	is("- json: {expressions: {extra: }}\n- json: {expressions: {user: }, source: extra}\n"
	   "- structured_metadata: {user: , extra: }\n- output: {source: user}",
	   "{\"log\":\"log message\\n\",\"extra\":\"{\\\"user\\\":\\\"marco\\\"}\"}",
	   "marco [user=marco extra={\"user\":\"marco\"}]");
	is("- json: {expressions: {stream: '\"grpc.stream\"'}}\n- output: {source: stream}",
	   "{\"log\":\"m\",\"grpc.stream\":\"stderr\"}", "stderr");
	is("- json: {expressions: {out: message, app: , nested: , duration: , unknown: }}\n"
	   "- structured_metadata: {out: , nested: , duration: , unknown: }\n- drop: {source: app, "
	   "value: x}\n- output: {source: out}",
	   "{ \"app\":\"loki\", \"component\": [\"parser\",\"type\"], \"level\" : \"WARN\", "
	   "\"nested\" : {\"child\":\"value\"}, \"duration\" : 125, \"message\" : \"a line\"}",
	   "a line [out=a line nested={\"child\":\"value\"} duration=125]");
}

/* What is not there is not set: the label's own value stays, and drop by source sees nothing. */
static void json_absent_and_null(void **state _unused_)
{
	is("- json: {expressions: {app: }}\n- output: {source: app}", "{\"a\":1}", "x");
	is("- json: {expressions: {gone: }}\n- drop: {source: gone}", "{\"a\":1}", "{\"a\":1}");
	is("- json: {expressions: {app: }}\n- output: {source: app}", "{\"app\":null}",
	   "{\"app\":null}");
}

static void json_malformed(void **state _unused_)
{
	is("- json: {expressions: {a: }}\n- structured_metadata: {a: }", "{\"a\":1", "{\"a\":1");
	dropped("- json: {expressions: {a: }, drop_malformed: true}", "{\"a\":1");
	is("- json: {expressions: {a: }, drop_malformed: true}", "{\"a\":1}", "{\"a\":1}");
	is("- json: {expressions: {a: }, drop_malformed: true, source: none}", "x", "x");
}

static void json_refused(void **state _unused_)
{
	refused("- json: {}", "t.yaml:1:9: [0].json: expressions is missing, expected a mapping of "
			      "names to values\n");
	refused("- json: {expressions: {}}",
		"t.yaml:1:23: [0].json.expressions: none, expected at least one `name: expression` "
		"or `name:`\n");
	refused("- json:\n    expressions:\n      extr1: 3##@$#33\n      b: 'c[*]'\n    source: ''",
		"t.yaml:3:14: [0].json.expressions.extr1: invalid expression `3##@$#33` at offset "
		"0: unexpected character; a name of other characters than letters, digits and _ "
		"has to stand in double quotes\n"
		"t.yaml:4:10: [0].json.expressions.b: invalid expression `c[*]` at offset 2: "
		"wildcards, slices, filters and flattening are not supported\n"
		"t.yaml:5:13: [0].json.source: empty, expected the name of an extracted value\n");
	refused("- json: {expressions: {request-id: }}",
		"t.yaml:1:36: [0].json.expressions.request-id: invalid expression `request-id` at "
		"offset 7: unexpected character; a name of other characters than letters, digits "
		"and _ has to stand in double quotes\n");
}

#define LOGFMT                                                                                 \
	"time=2012-11-01T22:08:41+00:00 app=loki level=WARN duration=125 message=\"this is a " \
	"log line\" extra=\"user=foo\""

static void logfmt_documented(void **state _unused_)
{
	is("- logfmt: {mapping: {timestamp: time, app: , duration: , unknown: }}\n"
	   "- structured_metadata: {timestamp: , duration: , unknown: }\n- output: {source: app}",
	   LOGFMT, "loki [timestamp=2012-11-01T22:08:41+00:00 duration=125]");
	is("- logfmt: {mapping: {extra: }}\n- logfmt: {mapping: {user: }, source: extra}\n"
	   "- structured_metadata: {extra: , user: }\n- output: {source: user}",
	   LOGFMT, "foo [extra=user=foo user=foo]");
}

static void logfmt_cases(void **state _unused_)
{
	is("- logfmt: {mapping: {a: , b: , c: }}\n- structured_metadata: {a: , b: , c: }",
	   "a=1 b=\"2\\n\" {c=3} c=\"4", "a=1 b=\"2\\n\" {c=3} c=\"4 [a=1 b=2\n]");
	is("- logfmt: {mapping: {a: k, b: k}}\n- structured_metadata: {a: , b: }", "k=1",
	   "k=1 [a=1 b=1]");
	is("- logfmt: {mapping: {a: }, source: none}\n- structured_metadata: {a: }", "a=1", "a=1");
	refused("- logfmt: {mapping: {}}", "t.yaml:1:21: [0].logfmt.mapping: none, expected at "
					   "least one `name: key` or `name:`\n");
	refused("- logfmt: {mapping: {a: }, source: ''}",
		"t.yaml:1:36: [0].logfmt.source: empty, expected the name of an extracted value\n");
}

static void regex_documented(void **state _unused_)
{
	is("- regex: {expression: \"^(?s)(?P<time>\\\\S+?) (?P<stream>stdout|stderr) "
	   "(?P<flags>\\\\S+?) (?P<content>.*)$\"}\n"
	   "- structured_metadata: {time: , stream: , flags: }\n- output: {source: content}",
	   "2019-01-01T01:00:00.000000001Z stderr P i'm a log message!",
	   "i'm a log message! [time=2019-01-01T01:00:00.000000001Z stream=stderr flags=P]");
	is("- json: {expressions: {time: }}\n"
	   "- regex: {expression: \"^(?P<year>\\\\d+)\", source: time}\n- output: {source: year}",
	   "{\"time\":\"2019-01-01T01:00:00.000000001Z\"}", "2019");
}

static void regex_cases(void **state _unused_)
{
	dropped("- regex: {expression: '(?P<a>x)(?P<b>y)?'}\n- drop: {source: b, expression: '^$'}",
		"x");
	is("- regex: {expression: '(?P<app>no)'}\n- output: {source: app}", "yes", "x");
	warned("- regex: {expression: '(a)b'}",
	       "t.yaml:1:23: warning: [0].regex.expression: extracts nothing: it has no named "
	       "group, such as (?P<name>...)\n");
	refused("- regex: {}",
		"t.yaml:1:10: [0].regex: expression is missing, expected a string\n");
	refused("- regex: {expression: ''}",
		"t.yaml:1:23: [0].regex.expression: empty, expected a regular expression\n");
	refused("- regex: {expression: '(?P<a>a)', source: ''}",
		"t.yaml:1:43: [0].regex.source: empty, expected the name of an extracted value\n");
}

static void regex_limit(void **state _unused_)
{
	_world_ struct world w = {0};
	char line[201];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	world__open(&w, "app=x",
		    "- regex: {expression: '(?P<a>(x+x+)+[yz])'}\n"
		    "- replace: {expression: '((x+x+)+[yz])', replace: no}");
	world__line(&w, line);
	assert_int_equal(program__counters(w.program)->regex_limited, 2);
	assert_int_equal(w.lines, 1);
	assert_memory_equal(w.out.data + 10, line, sizeof(line) - 1);
}

/* It may have what nobody shall see. */
static void redact_limit(void **state _unused_)
{
	_world_ struct world w = {0};
	char line[201];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	world__open(&w, "app=x", "- redact: {expressions: {b: '(x+x+)+[yz]'}}");
	world__line(&w, line);
	assert_int_equal(program__counters(w.program)->regex_limited, 1);
	assert_int_equal(w.lines, 0);
	world__line(&w, "xxy");
	assert_int_equal(w.lines, 1);
}

#define UPPER "'{{ .Value | ToUpper }}'"
#define HTTP_OK                                                                       \
	"'{{ if eq .Value \"200\" }}{{ Replace .Value \"200\" \"HttpStatusOk\" -1 }}" \
	"{{ else }}{{ .Value | ToUpper }}{{ end }}'"

static void replace_documented(void **state _unused_)
{
	is("- replace: {expression: \"password (\\\\S+)\", replace: '****'}",
	   "2019-01-01T01:00:00.000000001Z stderr P i'm a log message who has sensitive "
	   "information with password xyz!",
	   "2019-01-01T01:00:00.000000001Z stderr P i'm a log message who has sensitive "
	   "information with password ****");
	is("- json: {expressions: {level: , msg: }}\n- replace: {expression: \"\\\\S+ - \\\"POST "
	   "(\\\\S+) .*\", source: msg, replace: /loki/api/v1/push/}\n- output: {source: msg}",
	   "{\"level\": \"info\", \"msg\":\"11.11.11.11 - \\\"POST /loki/api/push/ HTTP/1.1\\\" "
	   "200 932\"}",
	   "11.11.11.11 - \"POST /loki/api/v1/push/ HTTP/1.1\" 200 932");
	is("- replace: {expression: \"11.11.11.11 - (\\\\S+\\\\s)\", replace: ''}", APACHE,
	   "11.11.11.11 - [25/Jan/2000:14:00:01 -0500] \"GET /1986.js HTTP/1.1\" 200 932 \"-\" "
	   "\"Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.1.7) Gecko/20091221 "
	   "Firefox/3.5.7 GTB6\"");
	is("- replace: {expression: '11.11.11.11 - (\\S+) .*', replace: dummy}", APACHE,
	   "11.11.11.11 - dummy [25/Jan/2000:14:00:01 -0500] \"GET /1986.js HTTP/1.1\" 200 932 "
	   "\"-\" \"Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.1.7) Gecko/20091221 "
	   "Firefox/3.5.7 GTB6\"");
}

#define UPPER_APACHE                                                                               \
	"11.11.11.11 - FRANK [25/JAN/2000:14:00:01 -0500] \"GET /1986.JS HTTP/1.1\" %s 932 \"-\" " \
	"\"MOZILLA/5.0 (WINDOWS; U; WINDOWS NT 5.1; DE; RV:1.9.1.7) GECKO/20091221 "               \
	"FIREFOX/3.5.7 GTB6\"%s"

static void replace_is(const char *yaml, const char *status, const char *metadata)
{
	char expected[1024];

	snprintf(expected, sizeof(expected), UPPER_APACHE, status, metadata);
	is(yaml, APACHE, expected);
}

static void replace_templates(void **state _unused_)
{
	replace_is("- replace:\n    expression: '^(\\S+) (\\S+) (\\S+) "
		   "\\[([\\w:/]+\\s[+\\-]\\d{4})\\] \"(\\S+)\\s?(\\S+)?\\s?(\\S+)?\" (\\d{3}|-) "
		   "(\\d+|-)\\s?\"?([^\"]*)\"?\\s?\"?([^\"]*)?\"?$'\n    replace: " HTTP_OK,
		   "HttpStatusOk", "");
	replace_is(
		"- replace:\n    expression: '^(?P<ip>\\S+) (?P<identd>\\S+) (?P<user>\\S+) "
		"\\[(?P<timestamp>[\\w:/]+\\s[+\\-]\\d{4})\\] \"(?P<action>\\S+)\\s?"
		"(?P<path>\\S+)?\\s?(?P<protocol>\\S+)?\" (?P<status>\\d{3}|-) "
		"(?P<size>\\d+|-)\\s?\"?(?P<referer>[^\"]*)\"?\\s?\"?(?P<useragent>[^\"]*)?\"?$'\n"
		"    replace: " UPPER "\n- structured_metadata: {ip: , identd: , user: , "
		"timestamp: , action: , path: , protocol: , status: , size: , referer: }",
		"200",
		" [ip=11.11.11.11 identd=- user=FRANK timestamp=25/JAN/2000:14:00:01 -0500 "
		"action=GET path=/1986.JS protocol=HTTP/1.1 status=200 size=932 referer=-]");
	/* The outer group is replaced, the inner ones are only extracted. */
	replace_is(
		"- replace:\n    expression: '(?P<ip_user>^(?P<ip>\\S+) (?P<identd>\\S+) "
		"(?P<user>\\S+)) \\[(?P<timestamp>[\\w:/]+\\s[+\\-]\\d{4})\\] "
		"\"(?P<action_path>(?P<action>\\S+)\\s?(?P<path>\\S+)?)\\s?(?P<protocol>\\S+)?\" "
		"(?P<status>\\d{3}|-) (\\d+|-)\\s?\"?(?P<referer>[^\"]*)\"?\\s?\"?"
		"(?P<useragent>[^\"]*)?\"?$'\n    replace: " HTTP_OK
		"\n- structured_metadata: {ip_user: , action_path: , user: , path: , status: }",
		"HttpStatusOk",
		" [ip_user=11.11.11.11 - FRANK action_path=GET /1986.JS user=FRANK "
		"path=/1986.JS status=HttpStatusOk]");
}

static void replace_hash(void **state _unused_)
{
	is("- replace: {expression: '([0-9]{3}-[0-9]{2}-[0-9]{4})', replace: '*SSN*{{ .Value | "
	   "Hash \"salt\" }}*'}",
	   "a 123-45-6789 b",
	   "a *SSN*3dd216f082c55f933cab97cc79e3d6b25607c8c0ce0133df8cf7232ae7de84e4* b");
}

static void replace_cases(void **state _unused_)
{
	is("- replace: {expression: '(a|b|c)', replace: ''}", "abc", "");
	is("- replace: {expression: '(a|b|c)', replace: '<{{ .Value }}>'}", "xabyc", "x<a><b>y<c>");
	is("- replace: {expression: 'b', replace: 'x'}", "abc", "abc");
	is("- replace: {expression: '(x*)', replace: '-'}", "aéxb", "-a-é-b-");
	is("- replace: {expression: '(a)|(b)', replace: '{{ .app }}{{ .Value }}'}", "ab", "xaxb");
	is("- replace: {expression: '(z)', replace: q}", "abc", "abc");
	is("- replace: {expression: '(?P<u>b)', replace: '{{ .u }}'}\n"
	   "- structured_metadata: {u: }",
	   "ab", "a<no value> [u=<no value>]");
	is("- replace: {expression: '(.)', source: none, replace: q}", "abc", "abc");
	warned("- replace: {expression: 'ab', replace: x}",
	       "t.yaml:1:25: warning: [0].replace.expression: replaces nothing: it has no group, "
	       "such as (...)\n");
	refused("- replace: {expression: '', source: '', replace: '{{ .a'}",
		"t.yaml:1:25: [0].replace.expression: empty, expected a regular expression\n"
		"t.yaml:1:37: [0].replace.source: empty, expected the name of an extracted value\n"
		"t.yaml:1:50: [0].replace.replace: invalid template at offset 5: unclosed "
		"action\n");
}

/* A template that fails leaves all as it was. */
static void replace_fails(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "app=x",
		    "- replace: {expression: '(?P<u>.)', replace: '{{ substr 1 9 .Value }}{{ index "
		    ".Value 5 }}'}\n- structured_metadata: {u: }");
	world__line(&w, "abc");
	assert_int_equal(program__counters(w.program)->failed, 1);
	world__expect(&w, "{app=\"x\"} abc\n");
}

static void decolorize_documented(void **state _unused_)
{
	is("- decolorize:",
	   "[2022-11-04 22:17:57.811] \033[0;32mhttp\033[0m: GET /_health (0 ms) 204",
	   "[2022-11-04 22:17:57.811] http: GET /_health (0 ms) 204");
	is("- decolorize: {}", "sample text", "sample text");
	is("- decolorize:", "", "");
	is("- decolorize:\n- json: {expressions: {a: }}\n- output: {source: a}",
	   "\033[32m{\"a\":\"b\"}\033[0m", "b");
}

static void redact_named(void **state _unused_)
{
	is("- redact:", "10.0.0.1 john@example.com 4111-1111-1111-1111 ok",
	   "<redacted:ipv4> <redacted:email> <redacted:card> ok");
	is("- redact: {patterns: [email]}", "10.0.0.1 john@example.com",
	   "10.0.0.1 <redacted:email>");
	is("- redact: {patterns: card, replacement: '****'}", "10.0.0.1 4111111111111111",
	   "10.0.0.1 ****");
	is("- redact: {replacement: ''}", "a 10.0.0.1 b", "a  b");
	is("- redact:", "nothing here", "nothing here");
	is("- json: {expressions: {msg: }}\n- redact: {source: msg}\n- output: {source: msg}",
	   "{\"msg\":\"from 10.0.0.1\"}", "from <redacted:ipv4>");
}

static void redact_own(void **state _unused_)
{
	is("- redact: {expressions: {ssn: '\\d{3}-\\d{2}-\\d{4}'}}", "123-45-6789 at 10.0.0.1",
	   "<redacted:ssn> at <redacted:ipv4>");
	is("- redact: {patterns: [], expressions: {pw: 'password=(\\S+)(?: token=(\\S+))?'}}",
	   "password=a password=b token=c 10.0.0.1",
	   "password=<redacted:pw> password=<redacted:pw> token=<redacted:pw> 10.0.0.1");
	is("- redact: {patterns: [], expressions: {a: 'x+', b: 'y+'}, replacement: .}", "axxbyyc",
	   "a.b.c");
	is("- redact: {patterns: [], expressions: {a: 'x*'}}", "axé", "a<redacted:a>é");
	is("- redact: {patterns: [], expressions: {a: 'x*'}}", "", "");
}

static void redact_refused(void **state _unused_)
{
	refused("- redact: {patterns: [email, phone], source: ''}",
		"t.yaml:1:30: [0].redact.patterns[1]: unknown pattern `phone`, expected email, "
		"ipv4, ipv6, card, jwt, bearer or aws_key\n"
		"t.yaml:1:46: [0].redact.source: empty, expected the name of an extracted value\n");
	refused("- redact: {patterns: phone}",
		"t.yaml:1:22: [0].redact.patterns: unknown pattern `phone`, expected email, ipv4, "
		"ipv6, card, jwt, bearer or aws_key\n");
}

#define MATCH                                                                                    \
	"- json: {expressions: {app: }}\n- labels: {app: }\n"                                    \
	"- match: {selector: '{app=\"loki\"}', stages: [json: {expressions: {msg: message}}]}\n" \
	"- match: {pipeline_name: app2, selector: '{app=\"pokey\"}', action: keep, stages: "     \
	"[json: {expressions: {msg: msg}}]}\n"                                                   \
	"- match: {selector: '{app=\"promtail\"} |~ \".*noisy error.*\"', action: drop, "        \
	"drop_counter_reason: promtail_noisy_error}\n- output: {source: msg}"

static void count_drop(void *ctx, const char *reason, uint64_t lines, uint64_t bytes _unused_)
{
	if (!strcmp(reason, "promtail_noisy_error"))
		*(uint64_t *)ctx += lines;
}

static void match_documented(void **state _unused_)
{
	_world_ struct world w = {0};
	uint64_t drops = 0;

	world__open(&w, "a=b", MATCH);
	world__line(
		&w,
		"{ \"time\":\"2012-11-01T22:08:41+00:00\", \"app\":\"loki\", \"component\": "
		"[\"parser\",\"type\"], \"level\" : \"WARN\", \"message\" : \"app1 log line\" }");
	world__line(&w,
		    "{ \"time\":\"2012-11-01T22:08:41+00:00\", \"app\":\"promtail\", "
		    "\"component\": [\"parser\",\"type\"], \"level\" : \"ERROR\", \"message\" : "
		    "\"foo noisy error\" }");
	world__expect(&w, "{a=\"b\", app=\"loki\"} app1 log line\n");
	program__drops(w.program, count_drop, &drops);
	assert_int_equal(drops, 1);
}

/* As at the start of all stages, the labels of then are values to those within. */
static void match_takes_labels(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "a=b,z=y",
		    "- regex: {expression: '(?P<a>\\w+) (?P<c>\\w+)'}\n"
		    "- static_labels: {new: made, c: label}\n- labeldrop: [z]\n"
		    "- template: {source: before, template: '{{ .a }} {{ .c }} {{ .new }}'}\n"
		    "- match: {selector: '{new=\"made\"}', stages: [{template: {source: line, "
		    "template: '{{ .before }}, {{ .a }} {{ .c }} {{ .new }} {{ .z }}'}}]}\n"
		    "- match: {selector: '{new=\"x\"}', stages: [{labeldrop: [a]}]}\n"
		    "- output: {source: line}");
	world__line(&w, "one two");
	world__expect(&w,
		      "{a=\"b\", c=\"label\", new=\"made\"} one two <no value>, b label made y\n");
}

/* Another tenant's line never goes into a block. */
static void multiline_by_tenant(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "app=a",
		    "- regex: {expression: '(?P<t>\\d)$'}\n- tenant: {source: t}\n"
		    "- multiline: {firstline: ^A}");
	world__line(&w, "A 1");
	world__line(&w, "A 2");
	world__line(&w, "b 1");
	world__line(&w, "no tenant, no block");
	world__line(&w, "b 2");
	program__flush(w.program);
	world__expect(&w, "{app=\"a\"} no tenant, no block\n{app=\"a\"} A 1\nb 1 tenant=1\n"
			  "{app=\"a\"} A 2\nb 2 tenant=2\n");
}

/* Each of the stages' regular expressions and templates is named with its place. */
static void invalid(const char *yaml, const char *place, const char *what)
{
	_world_ struct world w = {0};

	assert_int_equal(world__try(&w, yaml), -EINVAL);
	if (strncmp(w.messages, place, strlen(place)) != 0 || !strstr(w.messages, what))
		fail_msg("%s", w.messages);
}

static void invalid_patterns(void **state _unused_)
{
	invalid("- regex: {expression: '(?P<ts[0-9]+).*'}",
		"t.yaml:1:23: [0].regex.expression: invalid regex at offset ", ": ");
	invalid("- replace: {expression: 'a(', replace: x}",
		"t.yaml:1:25: [0].replace.expression: invalid regex at offset ", ": ");
	invalid("- replace: {expression: '(a)', replace: '{{ .a'}",
		"t.yaml:1:41: [0].replace.replace: invalid template at offset ", ": ");
	invalid("- redact: {expressions: {a: 'b', c: '['}}",
		"t.yaml:1:37: [0].redact.expressions.c: invalid regex at offset ", ": ");
	/* Both of one stage. */
	invalid("- replace: {expression: 'a(', replace: '{{ .a'}",
		"t.yaml:1:25: ", "\nt.yaml:1:40: [0].replace.replace: invalid template");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_documented),    cmocka_unit_test(json_absent_and_null),
		cmocka_unit_test(json_malformed),     cmocka_unit_test(json_refused),
		cmocka_unit_test(logfmt_documented),  cmocka_unit_test(logfmt_cases),
		cmocka_unit_test(regex_documented),   cmocka_unit_test(regex_cases),
		cmocka_unit_test(regex_limit),	      cmocka_unit_test(redact_limit),
		cmocka_unit_test(replace_documented), cmocka_unit_test(replace_templates),
		cmocka_unit_test(replace_hash),	      cmocka_unit_test(replace_cases),
		cmocka_unit_test(replace_fails),      cmocka_unit_test(decolorize_documented),
		cmocka_unit_test(redact_named),	      cmocka_unit_test(redact_own),
		cmocka_unit_test(redact_refused),     cmocka_unit_test(match_documented),
		cmocka_unit_test(match_takes_labels), cmocka_unit_test(multiline_by_tenant),
		cmocka_unit_test(invalid_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
