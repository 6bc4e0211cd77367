# SPDX-License-Identifier: Apache-2.0
"""notail --loki against the strict receiver, or against the Loki that LOKI_URL names.

The receiver answers as Loki does and decodes with an implementation of its own: what the tests find
there went through notail's whole path.
"""

import os
import re
import sys
import time

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

import loki_client  # noqa: E402
import snappy  # noqa: E402
from loki_faults import Fault  # noqa: E402
from loki_judge import Limits  # noqa: E402

# Structured metadata that notail or Loki may add to an entry: anything else is an error.
METADATA = {"container_id", "image", "engine", "pid", "comm", "detected_level"}
LONG = 150


class Base(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.since_ns = time.time_ns() - 60 * 10**9

    def target(self, needs_receiver="", **keywords):
        """The target of this test. `needs_receiver`: why a real Loki cannot do it."""
        if needs_receiver and os.environ.get("LOKI_URL"):
            self.skipTest(f"LOKI_URL is set: {needs_receiver}")
        target = loki_client.target(**keywords)
        target.__enter__()
        self.addCleanup(target.__exit__, None, None, None)
        return target

    def pushing(self, target, *args):
        """notail pushing this process' containers to the target."""
        return self.plain_notail("--loki", target.url, "--docker", self.engine.host, "--container",
                                 f"e2e-{harness.RUN_ID}-*", "--stats", *args)

    def entries(self, target, name, stream=None):
        labels = {"container": name, **({"stream": stream} if stream else {})}
        return target.entries(labels, self.since_ns)

    def wait_entries(self, target, name, count, stream=None, timeout=harness.DEADLINE):
        """Waits for the number of entries; returns them."""
        harness.wait_for(lambda: len(self.entries(target, name, stream)) >= count, timeout,
                         lambda: f"{len(self.entries(target, name, stream))} of {count} entries of {name}",
                         interval=target.poll_seconds)
        return self.entries(target, name, stream)

    def assert_arrived(self, target, name, timeout=harness.DEADLINE):
        """A container that ended: docker's own record, in its order, each line once."""
        record = self.engine.record(name)
        for stream in ("stdout", "stderr"):
            expected = [target.as_read(line) for line in record[stream]]
            try:
                self.wait_entries(target, name, len(expected), stream, timeout)
            except AssertionError:
                pass  # the comparison says more
            got = [e.line for e in self.entries(target, name, stream)]
            self.assert_lines(got, expected, f"{name} {stream}")

    def run_lines(self, name, lines, *options):
        """A container that prints the lines one after the other, to its end."""
        script = "; ".join(f"echo {line}" for line in lines)
        self.engine.run("busybox", "sh", "-c", script, name=name, options=options)


class Loki(Base):
    def test_labels(self):
        target = self.target()
        self.pushing(target)
        name = self.name("plain")
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=name)
        for stream, line in (("stdout", b"out"), ("stderr", b"err")):
            entry, = self.wait_entries(target, name, 1, stream)
            self.assertEqual(entry.line, line)
            self.assertEqual(entry.labels, {"container": name, "stream": stream, "service_name": name, "job": "docker",
                                            "host": os.uname().nodename})

    def test_labels_of_compose(self):
        target = self.target()
        self.pushing(target)
        name = self.name("composed")
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api",
                  "com.docker.compose.container-number": "1", "team": "x"}
        options = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        self.engine.run("busybox", "echo", "hi", name=name, options=options)
        entry, = self.wait_entries(target, name, 1)
        self.assertEqual(entry.labels, {
            "container": name, "stream": "stdout", "compose_project": "shop", "compose_service": "api",
            "service_name": "api", "job": "docker", "host": os.uname().nodename})

    def test_the_rest_is_structured_metadata(self):
        target = self.target()
        self.pushing(target)
        name = self.name("metadata")
        self.engine.run("busybox", "echo", "hi", name=name)
        entry, = self.wait_entries(target, name, 1)
        self.assertEqual(entry.metadata["container_id"], self.engine.inspect(name)["Id"])
        self.assertEqual(entry.metadata["image"], "busybox")
        self.assertEqual(entry.metadata["engine"], "docker")
        self.assertEqual(entry.metadata["comm"], "echo")
        self.assertRegex(entry.metadata["pid"], r"\A[1-9][0-9]*\Z")
        self.assertLessEqual(set(entry.metadata), METADATA)

    def test_labels_of_a_tty(self):
        target = self.target()
        self.pushing(target)
        name = self.name("tty")
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=name, options=["-t"])
        entries = self.wait_entries(target, name, 2)
        self.assertEqual([e.line for e in entries], [b"out\r", b"err\r"])
        self.assertEqual({(e.labels["stream"], e.metadata["tty"]) for e in entries}, {("stdout", "true")})

    def test_bytes_of_lines(self):
        target = self.target()
        self.pushing(target)
        name = self.name("bytes")
        self.engine.run("busybox", "sh", "-c",
                        r"printf 'a\0b\n\n\377\376\n\033[1mbold\n\303\244\nsame\nsame\nhalf'", name=name)
        self.assert_arrived(target, name)

    def test_short_lived_containers(self):
        target = self.target()
        self.pushing(target)
        names = [self.name(f"short{i}") for i in range(10)]
        for i, name in enumerate(names):
            self.engine.run("busybox", "echo", f"line {i}", name=name, options=["--rm"])
        for i, name in enumerate(names):
            entry, = self.wait_entries(target, name, 1)
            self.assertEqual((entry.line, entry.labels["service_name"]), (b"line %d" % i, name))

    def test_sigterm_sends_what_is_there(self):
        target = self.target()
        notail = self.pushing(target, "--batchwait", "5m")
        name = self.name("drained")
        self.run_lines(name, range(100))
        self.assertEqual(self.entries(target, name), [])
        self.assertEqual(notail.stop(), 0)
        self.assert_arrived(target, name)

    def test_away_at_start(self):
        target = self.target("it cannot be away")
        target.receiver.stop()
        self.pushing(target)
        names = [self.name(f"early{i}") for i in range(3)]
        for name in names:
            self.run_lines(name, range(50))
        target.receiver.start()
        for name in names:
            self.assert_arrived(target, name)

    def test_restart_of_the_receiver(self):
        target = self.target("it cannot be restarted")
        self.pushing(target)
        name = self.name("through")
        self.engine.start("busybox", "sh", "-c", "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); "
                          "[ $((i % 40)) -eq 0 ] && sleep 0.3; done", name=name)
        for _ in range(3):
            count = len(self.entries(target, name))
            harness.wait_for(lambda count=count: len(self.entries(target, name)) > count or
                             not self.engine.inspect(name)["State"]["Running"], interval=0.2, what="more lines")
            target.receiver.stop()
            target.receiver.start()
        self.engine.wait(name)
        self.assert_arrived(target, name)

    def test_429_and_503_in_between(self):
        target = self.target("it cannot be made to answer so")
        self.pushing(target)
        first, second = self.name("first"), self.name("second")
        self.run_lines(first, range(20))
        self.assert_arrived(target, first)
        target.receiver.misbehave(429, retry_after=1)
        target.receiver.misbehave(503, 2)
        self.run_lines(second, range(20))
        self.assert_arrived(target, second)
        statuses = target.receiver.statuses()
        self.assertEqual((statuses[429], statuses[503]), (1, 2))

    def test_connection_lost_in_between(self):
        target = self.target("its connections cannot be cut")
        self.pushing(target)
        target.receiver.misbehave("reset", 2)
        target.receiver.misbehave("lose")  # it has the batch, notail does not know: sent again, stored once
        name = self.name("lost")
        self.run_lines(name, range(20))
        self.assert_arrived(target, name)
        harness.wait_for(lambda: 204 in target.receiver.statuses(), what="the push after the lost answer")
        self.assertGreaterEqual(target.receiver.duplicates(), 1)
        self.assert_arrived(target, name)

    def test_one_that_is_refused_costs_itself_alone(self):
        target = self.target("it cannot be made to answer so")
        notail = self.pushing(target)
        target.receiver.faults(lambda _, body: Fault(400, "no") if b"bad one" in snappy.uncompress(body) else None)
        name = self.name("refused")
        self.run_lines(name, ["before", "the bad one", "after"])
        self.wait_entries(target, name, 2)
        self.assertEqual([e.line for e in self.entries(target, name)], [b"before", b"after"])
        self.assertEqual(notail.stop(), 0)
        dropped = re.search(r'notail_dropped_lines_total\{reason="refused"\} (\d+)', notail.stderr())
        self.assertTrue(dropped, notail.stderr())
        self.assertEqual(int(dropped.group(1)), 1)

    def test_longer_than_loki_takes(self):
        target = self.target("its limits are its own", limits=Limits(line_bytes=LONG - 1))
        notail = self.pushing(target)
        name = self.name("part")
        self.run_lines(name, ["before", "x" * LONG, "after"])
        self.wait_entries(target, name, 3)
        self.assertEqual(sorted(e.line for e in self.entries(target, name)), [b"after", b"before", b"x" * (LONG - 1)])
        self.assertEqual(notail.stop(), 0)
        self.assertIn("max entry size", notail.stderr())

    def test_tenant(self):
        target = self.target("it may have no tenants", auth=True)
        self.pushing(target, "--tenant", "team-a")
        name = self.name("tenant")
        self.run_lines(name, ["mine"])
        harness.wait_for(lambda: any(labels["container"] == name for labels, _ in
                                     target.receiver.streams("team-a").values()), what="a push of the tenant")


class Racing(Base):
    """Racing threads: what arrives is the pipe's own order, whatever the threads did."""

    needs_programs = ("writer",)

    def test_bytes_of_three_threads(self):
        # The receiver only keeps the bodies meanwhile: judging them takes longer than writing the lines.
        target = self.target(mode="load")
        notail = self.pushing(target, "--ring-size", "128MiB")
        names = [self.name(f"racing{i}") for i in range(4)]
        for i, name in enumerate(names):
            self.engine.start("busybox", "writer", "--threads", "3", "--lines", "16667", "--min", "1", "--max", "300",
                              "--random", "--stderr-every", "7", "--seed", str(i + 1), name=name)
        for name in names:
            self.assertEqual(self.engine.wait(name), 0)
            for stream in ("stdout", "stderr"):
                counts = notail.stream(name, stream)
                self.assertEqual(counts["written"], counts["copied"], f"{name} {stream}")
        self.assertEqual(notail.stop(), 0)
        if target.receiver:
            self.assertEqual({answer.status for answer in target.receiver.judge()}, {204})
        for name in names:
            self.assert_arrived(target, name, timeout=180)
            self.assertEqual(sum(map(len, self.engine.record(name).values())), 50001)
