# SPDX-License-Identifier: Apache-2.0
"""What becomes of lines while a Loki is away: other clients, memory, the spool, the end of a run."""

import os
import signal
import sys

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_faults import Fault  # noqa: E402
from loki_receiver import Receiver  # noqa: E402

MB = 1 << 20
BACKOFF = "backoff_config: {min_period: 50ms, max_period: 200ms}"
# `count` lines of so many bytes that do not compress, then one that says that it is through, then it waits.
WRITER = """
import base64, os, sys, time
count, size = int(sys.argv[1]), int(sys.argv[2])
for i in range(count):
    print("%08d %s" % (i, base64.b64encode(os.urandom(size)).decode()))
    if i % 200 == 199:
        sys.stdout.flush()
        time.sleep(0.02)
print("%08d end" % count, flush=True)
for line in sys.stdin:
    print(line, end="", file=sys.stderr, flush=True)
"""


def numbers(receiver, stream="stdout"):
    """Of the lines that the receiver has, as they came."""
    return [int(e.line[:8]) for labels, entries in receiver.streams().values() for e in entries
            if labels["stream"] == stream]


class Delivery(harness.TestCase):
    needs_engine = False

    def setUp(self):
        super().setUp()
        self.spool = harness.shared.path("spool")

    def receiver(self, up=True):
        receiver = Receiver()
        receiver.start()
        self.addCleanup(receiver.close)
        if not up:
            receiver.stop()
        return receiver

    def pushing(self, clients, count, size, *options, memory="8MiB"):
        """notail and a writer that goes on until its stdin ends."""
        clients = ", ".join("{url: \"%s\", name: %s, batchwait: 200ms, %s}" % (c.url, name, BACKOFF)
                            for name, c in clients.items())
        path = self.file(f"clients: [{clients}]\nlimits: {{memory: {memory}}}\n")
        read, write = os.pipe()
        notail = self.plain_notail("-c", path, "--spool-dir", self.spool, "--stats", *options, "--",
                                   "/usr/bin/python3", "-c", WRITER, str(count), str(size), wait=False, stdin=read)
        os.close(read)
        self.addCleanup(lambda: notail.ended or os.close(write))
        notail.ended = False
        notail.wait_ready()

        def end():
            notail.ended = True
            os.close(write)
            return notail.wait()

        notail.end = end
        notail.say = lambda text: os.write(write, text)
        return notail

    def spooled(self):
        return sum(os.path.getsize(os.path.join(directory, name)) for directory, _, names in os.walk(self.spool)
                   for name in names if name.endswith(".seg"))

    def rss(self, notail):
        with open(f"/proc/{notail.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) << 10

    def wait_all(self, receiver, count):
        harness.wait_for(lambda: len(numbers(receiver)) > count, what=lambda: f"{len(numbers(receiver))} of {count + 1} lines")
        self.assertEqual(numbers(receiver), list(range(count + 1)))

    def test_one_of_two_is_dead(self):
        living, dead = self.receiver(), self.receiver(up=False)
        notail = self.pushing({"living": living, "dead": dead}, 12000, 1000)
        self.wait_all(living, 12000)
        self.assertGreater(self.spooled(), 0, "the dead one's lines left the ring")
        dead.start()
        self.wait_all(dead, 12000)
        self.assertEqual(notail.end(), 0, notail.stderr())
        self.assertNotIn("dropped", notail.stderr())
        self.assertNotIn("lost_bytes", notail.stderr())
        self.assertEqual((living.duplicates(), dead.duplicates()), (0, 0))

    def test_more_than_memory(self):
        receiver = self.receiver(up=False)
        notail = self.pushing({"loki": receiver}, 24000, 1000)
        harness.wait_for(lambda: self.spooled() > 2 * MB, what="a beginning of the spool")
        before = self.rss(notail)
        harness.wait_for(lambda: self.spooled() > 22 * MB, what=lambda: f"the rest: {self.spooled()} bytes")
        self.assertLess(self.rss(notail), before + 12 * MB)
        receiver.start()
        self.wait_all(receiver, 24000)
        self.assertEqual(notail.end(), 0, notail.stderr())
        self.assertNotIn("lost_bytes", notail.stderr())
        self.assertEqual(self.spooled(), 0)

    def test_other_streams_are_live(self):
        """One that wrote nothing while Loki was away does not wait for what another did."""
        receiver = self.receiver(up=False)
        notail = self.pushing({"loki": receiver}, 16000, 1000)
        harness.wait_for(lambda: self.spooled() > 14 * MB, what=lambda: f"the backlog: {self.spooled()} bytes")
        receiver.faults(lambda _headers, _body: Fault(delay=1, keep=True))
        receiver.start()
        harness.wait_for(lambda: numbers(receiver), what="the backlog's beginning")
        notail.say(b"00000001 live\n")
        harness.wait_for(lambda: numbers(receiver, "stderr"), what="the other stream")
        self.assertLess(len(numbers(receiver)), 16001)
        receiver.faults(None)
        self.wait_all(receiver, 16000)
        self.assertEqual(notail.end(), 0, notail.stderr())

    def test_end(self):
        """What a run leaves the next one delivers, in front of its own."""
        receiver = self.receiver(up=False)
        self.assertEqual(self.pushing({"loki": receiver}, 100, 10).end(), 0)
        self.assertGreater(self.spooled(), 0)
        receiver.start()
        notail = self.pushing({"loki": receiver}, 0, 0)
        harness.wait_for(lambda: len(numbers(receiver)) == 102, what="the lines of both")
        self.assertEqual(numbers(receiver), [*range(101), 0])
        self.assertEqual(notail.end(), 0)

    def test_second_signal(self):
        """It does not wait for a Loki that is away."""
        receiver = self.receiver(up=False)
        self.spool = "off"
        notail = self.pushing({"loki": receiver}, 100, 10, "--shutdown-timeout", "5m")
        harness.wait_for(lambda: "trying again" in notail.stderr(), what="a try")
        notail.ended = True

        def ended():
            notail.process.send_signal(signal.SIGTERM)  # the first is the command's
            return notail.process.poll() is not None

        harness.wait_for(ended, what="the end", interval=0.2)
        self.assertIn("101 lines were not delivered", notail.stderr())
