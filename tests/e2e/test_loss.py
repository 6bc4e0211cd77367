# SPDX-License-Identifier: Apache-2.0
"""What is lost is counted to the byte, and stands in its place: notail is stopped (SIGSTOP) while a container writes
more than its ring holds."""

import re
import signal

import harness

GAP = re.compile(rb"notail: (\d+) bytes in (\d+) writes lost here: (.+)")
# Says first and last with the consumer awake, and much in between.
SCRIPT = (
    "echo first; echo first >&2; until [ -e /tmp/go ]; do sleep 0.05; done; "
    "writer --lines 60000 --size 200 --stderr-every 5{more}; touch /tmp/written; "
    "until [ -e /tmp/end ]; do sleep 0.05; done; echo last; echo last >&2"
)


def places(entries, record):
    """Where in the record's bytes a stream's entries can end: lines stand where they are in the record, a gap is as many
    bytes as it says. A line before a gap may have lost its newline to it. Empty: they do not fit."""
    found = {0}
    for entry in entries:
        gap = "notail_gap" in entry.metadata
        size = int(GAP.fullmatch(entry.line).group(1)) if gap else len(entry.line)
        after = set()
        for at in found:
            if not gap and record[at : at + size] != entry.line:
                continue
            after.add(at + size)
            if not gap and record[at + size : at + size + 1] == b"\n":
                after.add(at + size + 1)
        if not after:
            raise AssertionError(f"{harness.shorten(entry.line, 200)} is not at {sorted(found)[:3]} of the record")
        found = after
    return found


class Loss(harness.TestCase):
    needs_programs = ("writer",)

    def check(self, *options, more="", reason="ring_full"):
        """Runs it with a stopped consumer; (notail, name, the counts of stdout)."""
        name = self.name("loss")
        notail = self.notail("--ring-size", "1MiB", *options)
        self.engine.start("busybox", "sh", "-c", SCRIPT.format(more=more), name=name)
        for stream in ("stdout", "stderr"):
            notail.wait_lines(name, stream, [b"first"])
        try:
            notail.process.send_signal(signal.SIGSTOP)
            self.engine.touch(name, "/tmp/go")
            self.engine.docker("exec", name, "sh", "-c", "until [ -e /tmp/written ]; do sleep 0.05; done")
        finally:
            notail.process.send_signal(signal.SIGCONT)
        self.engine.touch(name, "/tmp/end")
        self.engine.wait(name)
        record = self.engine.record(name)
        lost = 0
        for stream, lines in record.items():
            counts = notail.stream(name, stream)
            data = b"\n".join(lines) + b"\n"
            entries = notail.of(name, stream)
            gaps = [e for e in entries if "notail_gap" in e.metadata]
            self.assertTrue(gaps, f"{stream}: nothing was lost")
            self.assertEqual({e.metadata["notail_gap"] for e in gaps}, {reason})
            self.assertEqual(sum(int(GAP.fullmatch(e.line).group(1)) for e in gaps), counts["lost"], counts)
            self.assertEqual(counts["copied"] + counts["lost"], len(data), counts)
            self.assertEqual((counts["written"], counts["missing"]), (len(data), 0), counts)
            self.assertIn(len(data), places(entries, data))
            self.assertEqual((entries[0].line, entries[-1].line), (b"first", b"last"))
            lost += counts["lost"]
        self.assertEqual(notail.stop(), 0)
        # Of all containers of this host.
        total = re.search(rf'^notail_lost_bytes_total{{reason="{reason}"}} (\d+)$', notail.stderr(), re.M)
        self.assertGreaterEqual(int(total.group(1)), lost)

    def test_stopped_consumer(self):
        """A ring of 1 MiB: every lost byte is counted, the gaps sum up to the difference, and stand in their places."""
        self.check()

    def test_stopped_consumer_random_lines(self):
        self.check(more=" --min 1 --max 200 --random")

    def test_stopped_consumer_write_tap(self):
        self.check("--tap", "write")

    def test_stopped_consumer_without_attribution(self):
        """Nothing counts what is written then; what is lost is known all the same."""
        name = self.name("off")
        notail = self.notail("--ring-size", "1MiB", "--attribution", "off")
        self.engine.start("busybox", "sh", "-c", SCRIPT.format(more=""), name=name)
        notail.wait_lines(name, "stdout", [b"first"])
        try:
            notail.process.send_signal(signal.SIGSTOP)
            self.engine.touch(name, "/tmp/go", "/tmp/end")
            self.engine.wait(name)
        finally:
            notail.process.send_signal(signal.SIGCONT)
        for stream, lines in self.engine.record(name).items():
            counts = notail.stream(name, stream)
            size = sum(map(len, lines)) + len(lines)
            self.assertGreater(counts["lost"], 0, counts)
            self.assertEqual(counts["copied"] + counts["lost"], size, counts)
            self.assertIn(size, places(notail.of(name, stream), b"\n".join(lines) + b"\n"))
