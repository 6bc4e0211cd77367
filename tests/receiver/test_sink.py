# SPDX-License-Identifier: Apache-2.0
"""The Loki sink against the receiver: each bad line costs itself alone, faults cost nothing."""

import collections
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import warnings

import snappy
from loki_faults import (CHUNKED_GARBAGE, HTML, HUGE, NO_HTTP, PROXY_PAGE, REDIRECT, SLOW_LORIS, USUAL_FAULTS, Fault)
from loki_judge import NS, Limits
from loki_receiver import Receiver


def has(body, *texts):
    message = snappy.uncompress(body)
    return any(text in message for text in texts)


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build")), "tests", "push")
DAY = 86400
DEADLINE_S = 240


@unittest.skipUnless(os.path.exists(PROGRAM), f"{PROGRAM} is not built: make test-programs")
class Base(unittest.TestCase):
    auth = False

    def start(self, tls=None, **limits):
        self.receiver = Receiver(limits=Limits(**limits), auth=self.auth, tls=tls)
        self.receiver.start()
        self.addCleanup(self.receiver.close)
        return self.receiver

    def push(self, lines, streams, *listed, **options):
        """What the sink counted. `listed`: (line, age in seconds, pairs, length)."""
        self.listed = {item[0] for item in listed}
        done = subprocess.run([PROGRAM, self.receiver.url, str(lines), str(streams),
                               *(f"{k}={v}" for k, v in options.items())],
                              input="\n".join(" ".join(map(str, item)) for item in listed), text=True,
                              capture_output=True, timeout=DEADLINE_S, check=True)
        self.said = done.stderr
        return json.loads(done.stdout)

    def stored(self, tenant="fake"):
        """How many entries; for a fault's function, which has the receiver's lock."""
        return sum(len(s.entries) for s in self.receiver._judge.streams(tenant).values())

    def kept(self, tenant="fake"):
        """{line's number: its Entry}, having looked at the order of each stream. Loki has the others of a request
        already when a line of it comes again, repaired."""
        found = {}
        for text, (_, entries) in self.receiver.streams(tenant).items():
            numbers = [int(e.line.split()[0]) for e in entries]
            self.assertEqual(len(set(numbers)), len(numbers), f"twice in {text}")
            in_order = [n for n in numbers if n not in self.listed]
            self.assertEqual(sorted(in_order), in_order, f"out of order in {text}")
            found.update(zip(numbers, entries))
        return found

    def assert_all(self, lines, but=()):
        self.assertEqual(set(range(lines)) - set(self.kept()), set(but), self.said[-2000:])

    def assert_counts(self, stats, lines, **reasons):
        self.assertEqual(stats["reasons"], reasons)
        self.assertEqual(stats["dropped"], sum(reasons.values()))
        self.assertEqual(stats["lines"] + stats["dropped"], lines)


class BadLines(Base):
    def test_three_among_many(self):
        self.start()
        stats = self.push(30003, 10, (10001, 0, 0, 300 << 10), (15002, 8 * DAY, 0, 0), (20003, 0, 200, 0))
        self.assert_counts(stats, 30003, too_old=1)
        self.assert_all(30003, {15002})
        kept = self.kept()
        self.assertEqual(len(kept[10001].line), 256 << 10)
        self.assertEqual(kept[10001].metadata["truncated"], "true")
        self.assertLessEqual(len(kept[20003].metadata), 129)  # Loki's own pair is one of them
        self.assertGreaterEqual(len(kept[20003].metadata), 90)
        self.assertEqual((stats["cut_lines"], stats["cut_metadata"]), (1, 1))

    def test_all_kinds_in_one_batch(self):
        self.start(metadata_pairs=20, metadata_bytes=5000, line_bytes=1000)
        stats = self.push(5000, 5, (100, 0, 60, 0), (200, 8 * DAY, 0, 0), (300, 0, 0, 1001), (301, 0, 0, 1000),
                          (402, 8 * DAY, 0, 2000), (503, 0, 19, 0))
        self.assert_counts(stats, 5000, too_old=2)
        self.assert_all(5000, {200, 402})
        self.assertEqual((stats["cut_lines"], stats["cut_metadata"]), (1, 1))
        self.assertLess(len(self.receiver.pushes), 20)

    def test_too_far_behind(self):
        self.start()
        stats = self.push(3000, 3, (1500, 7200, 0, 0), (1800, 3 * 3600, 0, 0), (2001, 7200, 0, 0), batch_bytes=4096)
        self.assert_counts(stats, 3000, too_far_behind=3)
        self.assert_all(3000, {1500, 1800, 2001})

    def test_labels(self):
        self.start(label_value_bytes=2)
        stats = self.push(1000, 20)
        self.assert_counts(stats, 1000, label_too_long=500)
        self.assert_all(1000, {n for n in range(1000) if n % 20 >= 10})

    def test_a_text_that_nobody_knows(self):
        def fault(_, body):
            return Fault(400, "computer says no") if has(body, b"1234 xxx", b"777 xxx") else None

        self.start()
        self.receiver.faults(fault)
        stats = self.push(3000, 3, (777, 0, 0, 20), (1234, 0, 0, 20))
        self.assert_counts(stats, 3000, refused=2)
        self.assert_all(3000, {777, 1234})
        self.assertLess(len(self.receiver.pushes), 100)

    def test_what_is_no_loki(self):
        """A server that refuses all for what nobody knows: nothing is lost until it is one."""
        self.start()
        self.receiver.faults(lambda *_: Fault(400, "Bad Request") if len(self.receiver.pushes) < 40 else None)
        stats = self.push(2000, 20, (7, 0, 0, 5000))
        self.assert_counts(stats, 2000)
        self.assert_all(2000)

    def test_labels_that_are_not_parsed(self):
        self.start()
        self.receiver.faults(lambda _, body: Fault(400, "couldn't parse labels: 1:3: parse error")
                             if has(body, b'"c7"') else None)
        stats = self.push(2000, 20)
        self.assert_counts(stats, 2000, invalid_labels=100)
        self.assert_all(2000, {n for n in range(2000) if n % 20 == 7})

    def test_too_large(self):
        self.start()
        self.receiver.faults(lambda _, body: Fault(413, HTML) if len(body) > 4096 else None)
        stats = self.push(20000, 4)
        self.assert_counts(stats, 20000)
        self.assert_all(20000)

    def test_rates(self):
        self.start(rate_bytes=100_000, burst_bytes=20_000)
        stats = self.push(20000, 4, batch_bytes=64 << 10)
        self.assert_counts(stats, 20000)
        self.assert_all(20000)

    def test_bursts_that_are_smaller_than_a_batch(self):
        self.start(stream_rate_bytes=20000, stream_burst_bytes=2000)
        stats = self.push(6000, 2, batch_bytes=32 << 10)
        self.assert_counts(stats, 6000)
        self.assert_all(6000)

    def test_what_a_server_cannot_bear(self):
        """Nothing is given up, and the others go on."""
        self.start()
        self.receiver.faults(lambda _, body: Fault(500, "oops") if has(body, b'"c7"')
                             and len(self.receiver.pushes) < 60 else None)
        stats = self.push(10000, 20, batch_bytes=4096)
        self.assert_counts(stats, 10000)
        self.assert_all(10000)
        others = [e for text, (_, es) in self.receiver.streams().items() if '"c7"' not in text for e in es]
        self.assertEqual(len(others), 9500)


class SlowStream(Base):
    def test_only_itself(self):
        """One stream is over its rate until the others are through."""
        self.start()

        def fault(_, body):
            if not has(body, b'"c3"') or self.stored() >= 9000:
                return None
            return Fault(429, "entry with timestamp 2026-01-01 00:00:00 +0000 UTC ignored, reason: 'Per stream rate limit"
                              " exceeded (limit: 10KB/sec) while attempting to ingest for stream '{container=\"c3\", "
                              "service_name=\"c3\"}' totaling 5B, consider splitting',\nuser 'fake', total ignored: 1 "
                              "out of 1 for stream: {container=\"c3\", service_name=\"c3\"}")

        self.receiver.faults(fault)
        stats = self.push(10000, 10, batch_bytes=4096)
        self.assert_counts(stats, 10000)
        self.assert_all(10000)


class SlowTenant(Base):
    auth = True

    def test_only_itself(self):
        self.start()
        self.receiver.faults(lambda headers, _: Fault(429, "ingestion rate limit exceeded for user team1")
                             if headers["x-scope-orgid"] == "team1" and self.stored("team0") < 5000 else None)
        stats = self.push(10000, 10, batch_bytes=4096, tenants=2)
        self.assert_counts(stats, 10000)
        self.assertEqual((len(self.kept("team0")), len(self.kept("team1"))), (5000, 5000))


class Faults(Base):
    def test_thirty_in_a_hundred(self):
        self.start()
        self.receiver.random_faults(0.3, USUAL_FAULTS, seed=3)
        stats = self.push(30000, 12, batch_bytes=4096, timeout_ms=2000)
        self.assert_counts(stats, 30000)
        self.assert_all(30000)
        statuses = collections.Counter(p.status for p in self.receiver.pushes)
        self.assertGreater(stats["retries"], len(self.receiver.pushes) // 10)
        self.assertGreater(statuses[429], 0)

    def test_liars(self):
        self.start()
        self.receiver.plan(*[PROXY_PAGE, REDIRECT, CHUNKED_GARBAGE, NO_HTTP, HUGE, Fault(endless=True), SLOW_LORIS,
                             Fault(200, "", size=0), Fault(hang=True), Fault(read=10), Fault(400, HTML)] * 2)
        stats = self.push(2000, 5, batch_bytes=2048, timeout_ms=500)
        # An empty 200 is success, whatever it kept.
        self.assertEqual(stats["dropped"], 0)
        self.assertEqual(stats["lines"], 2000)
        lost = set(range(2000)) - set(self.kept())
        self.assertLessEqual(len(lost), 2 * 100)

    def test_requests_are_under_way_together(self):
        """Of one stream one at a time; of many, so many."""
        self.start()
        self.receiver.random_faults(1, [Fault(keep=True, delay=0.05)])
        self.push(4000, 400, in_flight=8, batch_bytes=1000)
        self.assert_all(4000)
        self.assertLessEqual(self.receiver.connections, 8)


class Tls(Base):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="notail-test-")
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def certificate(self, name, days=2):
        """For localhost, its own authority."""
        with open(self.path("extensions"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:localhost\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.path(name + ".key"),
                     "-out", self.path(name + ".csr"), "-subj", "/CN=localhost")
        self.openssl("x509", "-req", "-in", self.path(name + ".csr"), "-signkey", self.path(name + ".key"),
                     "-days", str(days), "-extfile", self.path("extensions"), "-out", self.path(name + ".crt"))
        return self.path(name + ".crt")

    def context(self, name, **attributes):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name + ".crt"), self.path(name + ".key"))
        for key, value in attributes.items():
            setattr(context, key, value)
        return context

    def refused(self, name, ca, **attributes):
        self.start(tls=self.context(name, **attributes))
        stats = self.push(10, 1, ca=ca, max_retries=1)
        self.assertEqual(stats["reasons"], {"max_retries": 10})
        return self.said

    def test_verified(self):
        ca = self.certificate("good")
        self.start(tls=self.context("good"))
        self.assert_counts(self.push(1000, 3, ca=ca), 1000)
        self.assert_all(1000)

    def test_of_nobody_that_is_known(self):
        self.certificate("good")
        self.assertRegex(self.refused("good", self.certificate("other")), "SSL certificate problem: self-signed")

    def test_expired(self):
        self.assertIn("certificate has expired", self.refused("old", self.certificate("old", -1)))

    def test_a_file_that_is_not_there(self):
        self.certificate("good")
        self.assertIn(self.path("none"), self.refused("good", self.path("none")))

    def test_old_version(self):
        ca = self.certificate("good")
        context = self.context("good")
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        self.start(tls=context)
        self.assertEqual(self.push(10, 1, ca=ca, max_retries=1)["reasons"], {"max_retries": 10})
        self.assertRegex(self.said, "(?i)version|protocol")

    def test_files_that_change(self):
        """The authority, the client's own certificate and the token, while it pushes."""
        own, other = self.certificate("good"), self.certificate("other")
        client = self.certificate("client")
        context = self.context("good", verify_mode=ssl.CERT_REQUIRED)
        context.load_verify_locations(client)
        self.start(tls=context)
        self.receiver.faults(lambda headers, _: None if headers["authorization"] == "Bearer new" else Fault(401))
        now = {name: self.path(name + ".now") for name in ("ca", "cert", "key", "token")}
        self.replace(now["ca"], other)
        self.replace(now["cert"], other)
        self.replace(now["key"], self.path("other.key"))
        with open(now["token"], "w", encoding="ascii") as file:
            file.write("old\n")
        stats = []
        thread = threading.Thread(target=lambda: stats.append(self.push(1000, 3, **now)))
        thread.start()
        for changes in ({"ca": own}, {"cert": client, "key": self.path("client.key")}, {}):
            time.sleep(0.3)  # it fails for a while with each
            self.assertTrue(thread.is_alive())
            for name, source in changes.items():
                self.replace(now[name], source)
        self.assertEqual(self.kept(), {})
        with open(now["token"], "w", encoding="ascii") as file:
            file.write("new\n")
        thread.join(60)
        self.assert_counts(stats[0], 1000)
        self.assert_all(1000)
        self.assertNotIn("Bearer", self.said)

    @staticmethod
    def replace(path, source):
        with open(source, "rb") as file, open(path + ".new", "wb") as copy:
            copy.write(file.read())
        os.replace(path + ".new", path)


if __name__ == "__main__":
    unittest.main()
