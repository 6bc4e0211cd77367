# SPDX-License-Identifier: Apache-2.0
"""What the receiver answers to a push, and what it keeps: every case measured against Loki 3.6.2."""

import collections
import gzip
import http.client
import json
import unittest
import zlib

import snappy

import loki_message
from loki_judge import NS, Limits
from loki_receiver import Receiver

NOW = 1795235000 * NS
SECOND, MINUTE, HOUR, DAY = NS, 60 * NS, 3600 * NS, 86400 * NS
WEB = '{container="web"}'
S = r'\{container="web", service_name="web"\}'

Case = collections.namedtuple("Case", "status text body headers kept method")


def entry(ts=NOW, line=b"hello", *metadata):
    return (ts, line, list(metadata))


def stream(*entries, labels=WEB):
    return (labels, list(entries))


def message(*streams):
    return snappy.compress(loki_message.encode(streams))


def case(status, text, body, kept=None, method="POST", **headers):
    """`text`: a pattern for the whole answer; `kept`: how many entries are stored afterwards."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers.setdefault("Content-Type", "application/x-protobuf")
    if kept is None:
        kept = 1 if status == 204 else 0
    return Case(status, text, body, headers, kept, method)


def one(*args, labels=WEB):
    return message(stream(entry(*args), labels=labels))


def pairs(count, name="k%d", value="v"):
    return [(name % i, value) for i in range(count)]


def many_labels(count, extra=""):
    return "{" + ", ".join(f'l{i:02}="v"' for i in range(count)) + extra + "}"


def raw_deflate(data):
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


JSON = json.dumps({"streams": [{"stream": {"container": "web"}, "values": [[str(NOW), "hello"]]}]}).encode()
RAW = loki_message.encode([stream(entry())])
TOO_OLD = (rf"entry for stream '{S}' has timestamp too old: [-0-9]+T[:0-9]+Z, "
           r"oldest acceptable timestamp is: 2026-11-14T[:0-9]+Z")
BEHIND = (r"entry with timestamp 2026-[-0-9]+ [:.0-9]+ \+0000 UTC ignored, reason: 'entry too far behind, "
          r"entry timestamp is: [-T:0-9]+Z, oldest acceptable timestamp is: [-T:0-9]+Z',\n"
          rf"user 'fake', total ignored: 1 out of 4 for stream: {S}")
GOOD, LATE = entry(), entry(NOW - HOUR - SECOND, b"late")
OTHER = '{container="other"}'

CASES = {
    # The request.
    "success": case(204, "", one()),
    "no_content_type": case(400, "mime: no media type", one(), Content_Type=None),
    "other_content_type_is_protobuf": case(204, "", one(), Content_Type="text/html"),
    "content_type_with_parameters": case(204, "", one(), Content_Type="application/x-protobuf; a=b"),
    "not_compressed": case(400, "snappy: corrupt input", RAW),
    "garbage": case(400, "snappy: corrupt input", b"\xff" * 64),
    "truncated_snappy": case(400, "snappy: corrupt input", one()[:-3]),
    "empty_body": case(400, "snappy: corrupt input", b""),
    "framed_snappy": case(400, "snappy: corrupt input", b"\xff\x06\x00\x00sNaPpY" + RAW),
    "illegal_wire_type": case(400, "proto: illegal wireType 7", snappy.compress(b"\x57\x01")),
    "message_cut_short": case(400, "unexpected EOF", snappy.compress(RAW[:-2])),
    "varint_cut_short": case(400, "unexpected EOF", snappy.compress(b"\x0a\xff")),
    "varint_too_long": case(400, "proto: integer overflow", snappy.compress(b"\x0a" + b"\xff" * 11)),
    "negative_length": case(400, "proto: negative length found during unmarshaling",
                            snappy.compress(b"\x0a" + b"\xff" * 9 + b"\x01")),
    "wrong_wire_type": case(400, "proto: wrong wireType = 0 for field Streams", snappy.compress(b"\x08\x01")),
    "field_number_0": case(400, r"proto: PushRequest: illegal tag 0 \(wire type 2\)", snappy.compress(b"\x02\x00")),
    "end_of_no_group": case(400, "proto: PushRequest: wiretype end group for non-group", snappy.compress(b"\x0c")),
    "unknown_field_is_skipped": case(204, "", snappy.compress(RAW + b"\x52\x01x")),
    "no_streams": case(422, "error at least one valid stream is required for ingestion", message()),
    "stream_without_entries": case(204, "", message(stream()), kept=0),
    "content_encoding_gzip": case(204, "", gzip.compress(one()), Content_Encoding="gzip"),
    "content_encoding_snappy": case(204, "", one(), Content_Encoding="snappy"),
    "content_encoding_deflate": case(204, "", raw_deflate(one()), Content_Encoding="deflate"),
    "gzip_without_snappy": case(400, "snappy: corrupt input", gzip.compress(RAW), Content_Encoding="gzip"),
    "gzip_that_is_none": case(400, "gzip: invalid header", one(), Content_Encoding="gzip"),
    "content_encoding_zstd": case(400, 'Content-Encoding "zstd" not supported', one(), Content_Encoding="zstd"),
    "content_encoding_identity": case(400, 'Content-Encoding "identity" not supported', one(),
                                      Content_Encoding="identity"),
    "json": case(204, "", JSON, Content_Type="application/json"),
    "json_gzip": case(204, "", gzip.compress(JSON), Content_Type="application/json", Content_Encoding="gzip"),
    "json_deflate": case(204, "", raw_deflate(JSON), Content_Type="application/json", Content_Encoding="deflate"),
    "json_broken": case(400, "error parsing JSON push: .*", JSON[:-3], Content_Type="application/json"),
    "put": case(405, "", one(), method="PUT"),
    "get": case(404, "404 page not found", b"", method="GET"),
    "tenant_ignored_without_auth": case(204, "", one(), X_Scope_OrgID="a|b"),
    # Labels.
    "labels_none": case(204, "", one(labels="{}")),
    "labels_empty_text": case(204, "", one(labels="")),
    "labels_spaces_and_comma": case(204, "", one(labels='{ container = "web" , }')),
    "labels_escapes": case(204, "", one(labels=r'{container="a\"\\\n\t\u00e4"}')),
    "labels_quoted_name": case(204, "", one(labels='{"a-b"="v"}')),
    "labels_bad_name": case(400,
                            'couldn\'t parse labels: 1:3: parse error: unexpected "-" .*', one(labels='{a-b="v"}')),
    "labels_name_of_digits": case(400, "couldn't parse labels: 1:2: parse error: .*", one(labels='{0a="v"}')),
    "labels_newline": case(400, "couldn't parse labels: 1:14: parse error: unterminated quoted string",
                           one(labels='{a="b", long="x\ny"}')),
    "labels_bad_utf8": case(400, "couldn't parse labels: 1:5: parse error: invalid UTF-8 rune",
                            one(labels=b'{a="\xff"}')),
    "labels_replacement_character": case(400, "couldn't parse labels: .* invalid UTF-8 rune",
                                         one(labels='{a="\ufffd"}')),
    "labels_bad_escape": case(400, "couldn't parse labels: .*", one(labels=r'{a="\z"}')),
    "labels_no_comma": case(400, "couldn't parse labels: .*", one(labels='{a="b" c="d"}')),
    "labels_no_end": case(400, "couldn't parse labels: .*", one(labels='{a="b"')),
    "labels_text_after": case(400, "couldn't parse labels: .*", one(labels='{a="b"} x')),
    "labels_no_quotes": case(400, "couldn't parse labels: .*", one(labels="{a=b}")),
    "labels_refused_lose_the_request": case(400, "couldn't parse labels: .*",
                                            message(stream(GOOD), stream(GOOD, labels="{a="))),
    "labels_refused_without_entries": case(400, "couldn't parse labels: .*",
                                           message(stream(GOOD), stream(labels="{a="))),
    "labels_15": case(204, "", one(labels=many_labels(15))),
    "labels_15_and_service_name": case(204, "", one(labels=many_labels(15, ', service_name="x"'))),
    "labels_16": case(400, r"entry for stream '\{.*service_name=\"unknown_service\"\}' has 16 label names; limit 15",
                      one(labels=many_labels(16))),
    "label_name_1024": case(204, "", one(labels="{" + "n" * 1024 + '="v"}')),
    "label_name_1025": case(400, r"stream '\{.*\}' has label name too long: 'n{1025}'",
                            one(labels="{" + "n" * 1025 + '="v"}')),
    "label_value_2048": case(204, "", one(labels='{a="' + "v" * 2048 + '"}')),
    "label_value_2049": case(400, r"stream '\{.*\}' has label value too long: 'v{2049}'",
                             one(labels='{a="' + "v" * 2049 + '"}')),
    "label_twice": case(400, r"stream '\{a=\"1\", a=\"2\", .*\}' has duplicate label name: 'a'",
                        one(labels='{a="1", a="2"}')),
    "label_limit_keeps_other_streams": case(400, ".* has 16 label names; limit 15",
                                            message(stream(GOOD, labels=many_labels(16)), stream(GOOD)), kept=1),
    # Entries.
    "line_empty": case(204, "", one(NOW, b"")),
    "line_262144": case(204, "", one(NOW, b"x" * 262144)),
    "line_262145": case(400, rf"max entry size '262144' bytes exceeded for stream '{S}' while adding an entry with "
                             r"length '262145' bytes", one(NOW, b"x" * 262145)),
    "line_refused_alone": case(400, "max entry size .*", message(stream(GOOD, entry(NOW + 1, b"x" * 262145))), kept=1),
    "two_kinds_of_errors": case(400, r"2 errors like: max entry size [^;]*; 1 errors like: entry for stream .*",
                                message(stream(entry(NOW, b"x" * 262145), entry(NOW, b"y" * 262145), entry(0), GOOD)),
                                kept=1),
    "nearly_7_days_old": case(204, "", one(NOW - 7 * DAY + SECOND)),
    "older_than_7_days": case(400, TOO_OLD, one(NOW - 7 * DAY - SECOND)),
    "timestamp_0": case(400, TOO_OLD, one(0)),
    "timestamp_missing": case(400, TOO_OLD.replace("[-0-9]+T", "0001-01-01T"), one(None)),
    "nearly_10_minutes_ahead": case(204, "", one(NOW + 10 * MINUTE - SECOND)),
    "more_than_10_minutes_ahead": case(400, rf"entry for stream '{S}' has timestamp too new: [-T:0-9]+Z",
                                       one(NOW + 10 * MINUTE + SECOND)),
    "nanos_too_many": case(400, r"timestamp: .*: nanos not in range \[0, 1e9\)",
                           message(stream(GOOD, entry((NOW // NS, NS)))), kept=0),
    "nanos_negative": case(400, r"timestamp: .*: nanos not in range \[0, 1e9\)",
                           message(stream(GOOD, entry((NOW // NS, -1)))), kept=0),
    "year_10000": case(400, "timestamp: .*: after 10000-01-01", one((253402300800, 0))),
    "out_of_order": case(204, "", message(stream(GOOD, entry(NOW - HOUR, b"a"), entry(NOW - 1, b"b"))), kept=3),
    "too_far_behind": case(400, BEHIND, message(stream(GOOD, entry(NOW - 1), LATE, entry(NOW - 2))), kept=3),
    "last_stream_decides_good": case(204, "", message(stream(GOOD, LATE), stream(GOOD, labels=OTHER)), kept=2),
    "last_stream_decides_bad": case(400, "entry with timestamp .*",
                                    message(stream(GOOD, labels=OTHER), stream(GOOD, LATE)), kept=2),
    "same_time_and_line": case(204, "", message(stream(GOOD, GOOD)), kept=1),
    "same_time_and_line_other_metadata": case(204, "", message(stream(GOOD, entry(NOW, b"hello", ("a", "b")))), kept=1),
    "same_time_other_line": case(204, "", message(stream(GOOD, entry(NOW, b"other"))), kept=2),
    # Structured metadata.
    "metadata_128": case(204, "", one(NOW, b"x", *pairs(128))),
    "metadata_129": case(400, rf"stream '{S}' has too many structured metadata labels: '129', limit: '128'\. .*",
                         one(NOW, b"x", *pairs(129))),
    "metadata_65536": case(204, "", one(NOW, b"x", ("k", "v" * 65535))),
    "metadata_65537": case(400, rf"stream '{S}' has structured metadata too large: '65537' bytes, limit: '65536' "
                                r"bytes\. .*", one(NOW, b"x", ("k", "v" * 65536))),
    "metadata_without_name": case(500, ".+", message(stream(GOOD, entry(NOW, b"x", ("", "v")))), kept=0),
}


class Base(unittest.TestCase):
    limits = Limits()
    auth = False
    mode = "strict"

    def setUp(self):
        self.now = NOW
        self.receiver = Receiver(self.mode, self.limits, self.auth, clock=lambda: self.now)
        self.receiver.start()
        self.addCleanup(self.receiver.close)

    def ask(self, method, path, body=None, headers=None, **options):
        connection = http.client.HTTPConnection("127.0.0.1", self.receiver.port, timeout=30)
        self.addCleanup(connection.close)
        headers = {name: value for name, value in (headers or {}).items() if value is not None}
        connection.request(method, path, body, headers, **options)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers

    def push(self, body, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Content-Type", "application/x-protobuf")
        return self.ask("POST", "/loki/api/v1/push", body, headers)[:2]

    def kept(self, tenant="fake"):
        return [e for _, entries in self.receiver.streams(tenant).values() for e in entries]


class Answers(Base):
    """One test for each row of CASES."""

    def check(self, row):
        status, text, headers = self.ask(row.method, "/loki/api/v1/push", row.body, row.headers)
        self.assertEqual(status, row.status, text)
        self.assertRegex(text, rf"(?s)\A{row.text}\n?\Z")
        if row.status >= 400 and row.text:
            self.assertEqual(headers["Content-Type"].split(";")[0], "text/plain")
            self.assertTrue(text.endswith("\n"))
        self.assertEqual(len(self.kept()), row.kept)


def _add_cases():
    for name, row in CASES.items():
        setattr(Answers, "test_" + name, lambda self, row=row: self.check(row))


_add_cases()


class Kept(Base):
    """What is stored, and how it is rewritten."""

    def metadata(self, *given, labels=WEB, line=b"plain"):
        self.assertEqual(self.push(one(NOW, line, *given, labels=labels))[0], 204)
        return self.kept()[-1].metadata

    def test_bytes_are_exact(self):
        line = bytes(range(256))
        self.push(one(NOW, line))
        self.assertEqual(self.kept()[0].line, line)

    def test_service_name_is_added(self):
        for labels, expected in (('{container="web"}', "web"), ('{job="docker"}', "docker"),
                                 ('{x="y"}', "unknown_service"), ('{job="j", app="a"}', "a"),
                                 ('{service_name="mine", app="a"}', "mine")):
            with self.subTest(labels):
                self.push(one(labels=labels))
                have = [have for have, _ in self.receiver.streams().values()][-1]
                self.assertEqual(have["service_name"], expected)

    def test_metadata_names(self):
        got = self.metadata(("a-b", "1"), ("0d", "2"), ("_PID", "3"), ("ok", "4"))
        self.assertEqual({k: v for k, v in got.items() if k != "detected_level"},
                         {"a_b": "1", "key_0d": "2", "key_PID": "3", "ok": "4"})

    def test_metadata_values(self):
        got = self.metadata(("bad", b"a\xff\xfeb"), ("empty", ""), ("twice", "1"), ("twice", "2"))
        self.assertEqual({k: v for k, v in got.items() if k != "detected_level"}, {"bad": "a  b", "twice": "2"})

    def test_metadata_named_as_a_label(self):
        self.assertEqual(self.metadata(("container", "x"))["container_extracted"], "x")

    def test_detected_level(self):
        for line, given, expected in ((b"all is well", (), "unknown"), (b"ERROR: no", (), "error"),
                                      (b'{"level":"warn"}', (), "warn"), (b"ts=1 level=debug msg=x", (), "debug"),
                                      (b"ERROR", (("detected_level", "mine"),), "mine"),
                                      (b"x", (("level", "info"),), "info")):
            with self.subTest(line):
                self.assertEqual(self.metadata(*given, line=line)["detected_level"], expected)

    def test_a_batch_sent_again_is_stored_once(self):
        for _ in range(3):
            self.assertEqual(self.push(message(stream(GOOD, entry(NOW + 1))))[0], 204)
        self.assertEqual(len(self.kept()), 2)
        self.assertEqual(self.receiver.duplicates(), 4)

    def test_streams_are_told_apart_by_their_sorted_labels(self):
        self.push(message(stream(GOOD, labels='{a="1", b="2"}'), stream(entry(NOW + 1), labels='{b="2",a="1"}')))
        self.assertEqual(list(self.receiver.streams()), ['{a="1", b="2", service_name="unknown_service"}'])


class Load(Base):
    mode = "load"

    def test_bodies_are_judged_later_at_their_own_time(self):
        self.assertEqual(self.push(one())[0], 204)
        self.assertEqual(self.push(one(labels="{broken"))[0], 204)
        self.assertEqual(self.kept(), [])
        self.now += 30 * DAY
        self.assertEqual([answer.status for answer in self.receiver.judge()], [204, 400])
        self.assertEqual([e.receipt_ns for e in self.kept()], [NOW])

    def test_framing_is_checked(self):
        self.assertEqual(self.push(b"\xff" * 64), (400, "snappy: corrupt input\n"))


class Limited(Base):
    limits = Limits(body_bytes=100000, streams=2)

    def test_body_too_large(self):
        status, text = self.push(b"x" * 100001)
        self.assertEqual(status, 413)
        self.assertRegex(text, r"\Arequest body too large: ")

    def test_decoded_body_too_large(self):
        status, text = self.push(snappy.compress(b"\0" * 100001))
        self.assertEqual(status, 413)
        self.assertRegex(text, r"\Arequest body too large: ")

    def test_too_many_streams(self):
        streams = [stream(GOOD, labels='{a="%d"}' % i) for i in range(3)]
        status, text = self.push(message(*streams))
        self.assertEqual(status, 429)
        self.assertRegex(text, r"\Amaximum active stream limit exceeded when trying to create stream \{a=\"2\"")
        self.assertEqual(len(self.kept()), 2)


class Rates(Base):
    limits = Limits(rate_bytes=1000, burst_bytes=5000, stream_rate_bytes=10240, stream_burst_bytes=3000)

    def test_tenant_rate(self):
        status, text, headers = self.ask("POST", "/loki/api/v1/push",
                                         message(stream(entry(0), entry(NOW, b"x" * 6000))),
                                         {"Content-Type": "application/x-protobuf"})
        self.assertEqual(status, 429)
        self.assertRegex(text, r"\Aingestion rate limit exceeded for user fake \(limit: 1000 bytes/sec\) while "
                               r"attempting to ingest '1' lines totaling '6000' bytes, ")
        self.assertNotIn("Retry-After", headers)
        self.assertEqual(self.kept(), [])

    def test_tenant_rate_recovers(self):
        for _ in range(2):
            self.push(one(NOW, b"x" * 2400))
        self.assertEqual(self.push(one(NOW, b"y" * 2400))[0], 429)
        self.now += 3 * SECOND
        self.assertEqual(self.push(one(NOW, b"y" * 2400))[0], 204)

    def test_stream_rate(self):
        status, text = self.push(message(stream(entry(NOW, b"x" * 2000), entry(NOW, b"y" * 2000))))
        self.assertEqual(status, 429)
        self.assertRegex(text, r"reason: 'Per stream rate limit exceeded \(limit: 10KB/sec\) while ")
        self.assertEqual(len(self.kept()), 1)


class Tenants(Base):
    auth = True

    def test_none(self):
        self.assertEqual(self.push(one()), (401, "no org id\n"))

    def test_empty(self):
        self.assertEqual(self.push(one(), X_Scope_OrgID=""), (401, "no org id\n"))

    def test_bad(self):
        for tenant in ("a|b", "a b", "a/b", "..", "x" * 151):
            with self.subTest(tenant):
                self.assertEqual(self.push(one(), X_Scope_OrgID=tenant)[0], 400)

    def test_kept_apart(self):
        self.assertEqual(self.push(one(), X_Scope_OrgID="a")[0], 204)
        self.assertEqual(len(self.kept("a")), 1)
        self.assertEqual(self.kept("b"), [])


if __name__ == "__main__":
    unittest.main()
