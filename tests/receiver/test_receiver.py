# SPDX-License-Identifier: Apache-2.0
"""The receiver as a server: reading back, planned misbehaviour, restarts, the message's decoder."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

import loki_client
import loki_faults
import loki_labels
import loki_message
import loki_receiver
from loki_faults import Fault
from test_push import GOOD, NOW, NS, OTHER, WEB, Base, entry, message, one, stream


class Query(Base):
    def query(self, flags=None, **params):
        params = {"query": WEB, "start": NOW - NS, "end": NOW + NS, **params}
        status, text, _ = self.ask("GET", "/loki/api/v1/query_range?" + urllib.parse.urlencode(params),
                                   headers={"X-Loki-Response-Encoding-Flags": flags})
        return status, text

    def result(self, flags="categorize-labels", **params):
        status, text = self.query(flags, **params)
        self.assertEqual(status, 200, text)
        return json.loads(text)["data"]

    def values(self, **params):
        return [tuple(v[:2]) for s in self.result(**params)["result"] for v in s["values"]]

    def fill(self, count=5):
        entries = [entry(NOW + i, b"line %d" % i, ("pid", str(i % 2))) for i in range(count)]
        self.assertEqual(self.push(message(stream(*entries), stream(entry(NOW, b"o"), labels=OTHER)))[0], 204)

    def test_streams_with_structured_metadata(self):
        self.fill(1)
        data = self.result()
        self.assertEqual(data["encodingFlags"], ["categorize-labels"])
        self.assertEqual(data["result"], [{
            "stream": {"container": "web", "service_name": "web"},
            "values": [[str(NOW), "line 0", {"structuredMetadata": {"pid": "0", "detected_level": "unknown"}}]]}])

    def test_without_categories_metadata_are_labels(self):
        self.fill(2)
        data = self.result(flags=None)
        self.assertNotIn("encodingFlags", data)
        self.assertEqual(sorted(s["stream"]["pid"] for s in data["result"]), ["0", "1"])
        self.assertEqual({len(v) for s in data["result"] for v in s["values"]}, {2})

    def test_directions_and_limit(self):
        self.fill()
        self.assertEqual([v[1] for v in self.values(direction="forward", limit=2)], ["line 0", "line 1"])
        self.assertEqual([v[1] for v in self.values(limit=2)], ["line 4", "line 3"])

    def test_end_is_not_included(self):
        self.fill()
        self.assertEqual([v[1] for v in self.values(start=NOW + 1, end=NOW + 3, direction="forward")],
                         ["line 1", "line 2"])

    def test_selectors(self):
        self.fill(1)
        for query, count in (('{container=~"w.*"}', 1), ('{container=~".+"}', 2),
                             ('{container="web", service_name!="web"}', 0),
                             ('{container=~".+", container!~"o.*"}', 1), ('{container="none"}', 0)):
            with self.subTest(query):
                self.assertEqual(len(self.values(query=query)), count)

    def test_bad_questions(self):
        for params in ({"query": "{}"}, {"query": "{a=}"}, {"query": '{a=~".*"}'}, {"limit": 5001}, {"start": "x"},
                       {"start": NOW, "end": NOW - 1}):
            with self.subTest(params):
                self.assertEqual(self.query(**params)[0], 400)

    def test_bytes_that_are_no_utf8_are_shown_replaced(self):
        self.push(one(NOW, b"a\xff\xe2\x82b"))
        self.assertEqual(self.values(), [(str(NOW), "a\ufffd\ufffd\ufffdb")])

    def test_labels(self):
        self.fill(1)
        for path, expected in (("labels", ["container", "service_name"]), ("label/container/values", ["other", "web"])):
            self.assertEqual(json.loads(self.ask("GET", "/loki/api/v1/" + path)[1])["data"], expected)

    def test_ready(self):
        self.assertEqual(self.ask("GET", "/ready")[:2], (200, "ready\n"))

    def test_client_reads_page_by_page(self):
        self.fill(25)
        client = loki_client.QueryClient(self.receiver.url)
        got = client.entries({"container": "web"}, NOW - 1, page=7)
        self.assertEqual([e.line for e in got], [b"line %d" % i for i in range(25)])
        self.assertEqual(got[3].metadata["pid"], "1")
        self.assertEqual(got, loki_client.ReceiverTarget(self.receiver).entries({"container": "web"}, NOW - 1))

    def test_client_names_what_it_could_not_read(self):
        with self.assertRaisesRegex(loki_client.QueryError, "400"):
            loki_client.QueryClient(self.receiver.url).entries({}, NOW)

    def test_target_of_the_environment(self):
        before = os.environ.get("LOKI_URL")
        self.addCleanup(lambda: os.environ.pop("LOKI_URL") if before is None else os.environ.update(LOKI_URL=before))
        os.environ["LOKI_URL"] = self.receiver.url + "/"
        self.fill(3)
        with loki_client.target() as target:
            self.assertFalse(target.exact)
            self.assertEqual(len(target.entries({"container": "web"}, NOW - 1)), 3)
            self.assertEqual(target.as_read(b"\xffx"), "\ufffdx".encode())


class Misbehaviour(Base):
    def test_statuses_then_success(self):
        self.receiver.misbehave(429, 2, retry_after=1)
        self.receiver.misbehave(503)
        self.assertEqual([self.push(one())[0] for _ in range(4)], [429, 429, 503, 204])
        self.assertEqual(self.receiver.statuses(), {429: 2, 503: 1, 204: 1})
        self.assertEqual(len(self.kept()), 1)

    def test_retry_after(self):
        self.receiver.misbehave(429, retry_after=7)
        headers = self.ask("POST", "/loki/api/v1/push", one(), {"Content-Type": "x/y"})[2]
        self.assertEqual(headers["Retry-After"], "7")

    def test_reset(self):
        self.receiver.misbehave("reset")
        with self.assertRaises(ConnectionResetError):
            self.push(one())
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.push(one())[0], 204)

    def test_lost_answer_keeps(self):
        self.receiver.misbehave("lose")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.push(one())
        self.assertEqual(len(self.kept()), 1)
        self.assertEqual(self.receiver.statuses(), {0: 1})

    def test_hang_until_released(self):
        self.receiver.misbehave("hang")
        failures = []

        def push():
            try:
                self.push(one())
            except OSError as error:
                failures.append(error)

        thread = threading.Thread(target=push)
        thread.start()
        while self.receiver.planned():
            thread.join(0.01)
        self.assertTrue(thread.is_alive())
        self.receiver.release()
        thread.join(30)
        self.assertEqual(len(failures), 1)

    def raw(self, limit=1 << 20):
        """One push; what the socket gives until it ends."""
        got = b""
        body = one()
        with socket.create_connection(("127.0.0.1", self.receiver.port)) as s:
            s.sendall(b"POST /loki/api/v1/push HTTP/1.1\r\nContent-Type: x/y\r\n"
                      b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            while len(got) < limit:
                data = s.recv(65536)
                if not data:
                    break
                got += data
        return got

    def test_plan_in_order(self):
        self.receiver.plan(Fault(418, "teapot"), None, Fault(keep=True, delay=0.01), Fault())
        self.assertEqual([self.push(one())[:2] for _ in range(5)],
                         [(418, "teapot\n"), (204, ""), (204, ""), (500, ""), (204, "")])
        self.assertEqual(self.receiver.duplicates(), 2)

    def test_kept_or_not_under_another_status(self):
        self.receiver.plan(Fault(504, "late"), Fault(504, "late", keep=True))
        self.assertEqual(self.push(one())[0], 504)
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.push(one())[0], 504)
        self.assertEqual(len(self.kept()), 1)

    def test_reset_within_the_body(self):
        self.receiver.plan(Fault(read=5), Fault(read=0))
        for _ in range(2):
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                self.push(one())
        self.assertEqual(self.push(one())[0], 204)
        self.assertEqual(self.receiver.statuses(), {0: 2, 204: 1})

    def test_answers_that_are_none(self):
        self.receiver.plan(Fault(204, cut=9), loki_faults.NO_HTTP, Fault(200, "abc", size=1000, slow=1e-6),
                           loki_faults.HUGE, Fault(endless=True), loki_faults.REDIRECT)
        self.assertEqual(self.raw(), b"HTTP/1.1 ")
        self.assertEqual(self.raw(), loki_faults.NO_HTTP.garbage)
        head, body = self.raw().split(b"\r\n\r\n")
        self.assertIn(b"Content-Length: 1000", head)
        self.assertEqual(body, (b"abc" * 334)[:1000])
        self.assertGreaterEqual(len(self.raw()), 1 << 20)
        self.assertNotIn(b"\r\n\r\n", self.raw())
        self.assertIn(b"\r\nLocation: ", self.raw())
        self.assertEqual(self.kept(), [])

    def test_by_chance(self):
        self.receiver.random_faults(0.3, [Fault(503), Fault(429)], seed=5)
        first = [self.push(one())[0] for _ in range(50)]
        self.receiver.random_faults(0.3, [Fault(503), Fault(429)], seed=5)
        self.assertEqual([self.push(one())[0] for _ in range(50)], first)
        self.assertEqual(set(first), {204, 429, 503})
        self.receiver.random_faults(0)
        self.assertEqual({self.push(one())[0] for _ in range(20)}, {204})

    def test_as_a_function_says(self):
        self.receiver.faults(lambda headers, body: Fault(403) if headers.get("x-bad") else None)
        self.assertEqual(self.push(one(), X_Bad="1")[0], 403)
        self.assertEqual(self.push(one())[0], 204)

    def test_unknown_kind(self):
        with self.assertRaises(ValueError):
            self.receiver.misbehave("explode")

    def test_restart_keeps_port_and_entries(self):
        self.push(one())
        port = self.receiver.port
        self.receiver.stop()
        with self.assertRaises(ConnectionRefusedError):
            self.push(one())
        self.receiver.start()
        self.assertEqual(self.receiver.port, port)
        self.assertEqual(self.push(one(NOW + 1))[0], 204)
        self.assertEqual(len(self.kept()), 2)


class Connection(Base):
    def test_stays_open_and_takes_chunks(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.receiver.port, timeout=30)
        self.addCleanup(connection.close)
        for at, body in enumerate((one(), iter([one(NOW + 1)[:7], one(NOW + 1)[7:]]), one(NOW + 2))):
            connection.request("POST", "/loki/api/v1/push", body, {"Content-Type": "application/x-protobuf"},
                               encode_chunked=at == 1)
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.read()), (204, b""))
        self.assertEqual(self.receiver.connections, 1)
        self.assertEqual(len(self.kept()), 3)

    def test_other_paths(self):
        self.assertEqual(self.ask("POST", "/api/prom/other", b"x")[0], 404)
        self.assertEqual(self.ask("GET", "/")[0], 404)


class Program(unittest.TestCase):
    def test_serves_until_stdin_ends(self):
        with tempfile.TemporaryDirectory() as directory:
            store = os.path.join(directory, "bodies")
            process = subprocess.Popen([sys.executable, loki_receiver.__file__, "--load", "--store", store],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            port = int(process.stdout.readline().split()[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            self.addCleanup(connection.close)
            connection.request("POST", "/loki/api/v1/push", one(), {"Content-Type": "application/x-protobuf"})
            self.assertEqual(connection.getresponse().status, 204)
            out, _ = process.communicate(timeout=30)
            self.assertEqual(json.loads(out), {"pushes": 1, "statuses": {"204": 1}})
            (receipt_ns, headers, body), = loki_receiver.read_store(store)
            self.assertEqual((headers, body), ({"content-type": "application/x-protobuf"}, one()))
            self.assertGreater(receipt_ns, NOW - 10**18)


class Decoder(unittest.TestCase):
    def test_every_cut_of_a_message_is_refused_or_shorter(self):
        raw = loki_message.encode([stream(GOOD, entry(NOW + 1, b"two", ("a", "b")))])
        whole = loki_message.decode(raw)
        for end in range(len(raw)):
            try:
                self.assertNotEqual(loki_message.decode(raw[:end]), whole)
            except loki_message.WireError:
                pass

    def test_labels_round_trip(self):
        pairs = [("a", 'q"\\'), ("b", "n\nt\t"), ("c", "\u00e4\U0001f600"), ("d", "\x01")]
        self.assertEqual(loki_labels.parse(loki_labels.text(pairs)), pairs)


if __name__ == "__main__":
    unittest.main()
