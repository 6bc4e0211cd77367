# SPDX-License-Identifier: Apache-2.0
"""Entries that Loki refuses, among 100,000 that it takes: each costs itself only, and is counted with a reason of its own."""

import datetime
import os
import re
import sys
import zlib

import base
import harness
import judge as judge_module

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_receiver import Receiver  # noqa: E402

PAIRS = 200
LONG_BYTES = 300 << 10


class BadLines(base.TestCase):
    def write(self, path, count):
        """Numbered lines, and three bad ones among them."""
        old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=8)
        bad = {
            count // 4: b"bad=long " + b"x" * LONG_BYTES,
            count // 2: b"bad=old at=" + old.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode(),
            3 * count // 4: b"bad=pairs " + b" ".join(b"k%d=v%d" % (i, i) for i in range(PAIRS)),
        }
        with open(path, "wb") as file:
            for number in range(count):
                if number in bad:
                    file.write(bad[number] + b"\n")
                payload = b"line number %d of many" % number
                file.write(b"~w1 %d %d %08x %s\n" % (number, len(payload), zlib.crc32(payload), payload))

    def test_among_many(self):
        count = self.scale(20000, 100000)
        directory = harness.shared.path("lines")
        os.mkdir(directory)
        self.write(os.path.join(directory, "lines"), count)
        with Receiver() as receiver:
            name = self.name("bad")
            pairs = {f"k{i}": f"k{i}" for i in range(PAIRS)}
            daemon = self.daemon(receiver.url, capture__max_line_size="512KiB", limits__label_values=10000, pipeline_stages=[
                {"match": {"selector": '{container="%s"} |= "bad=old"' % name, "stages": [
                    {"logfmt": {"mapping": {"at": ""}}}, {"timestamp": {"source": "at", "format": "RFC3339Nano"}}]}},
                {"match": {"selector": '{container="%s"} |= "bad=pairs"' % name, "stages": [
                    {"logfmt": {"mapping": pairs}}, {"structured_metadata": pairs}]}},
            ])
            self.engine.run("busybox", "cat", "/lines/lines", name=name, options=["-v", f"{directory}:/lines:ro"])
            numbers = lambda: [int(match[2]) for entry in self.kept(receiver)
                               for match in [judge_module.HEAD.match(entry.line)] if match]
            base.wait_for(lambda: len(numbers()) >= count, 120, lambda: f"{len(numbers())} of {count}", interval=1)
            self.assert_lines(sorted(numbers()), list(range(count)))
            bad = [entry.line for entry in self.kept(receiver) if entry.line.startswith(b"bad=")]
            kinds = {re.match(rb"bad=(\w+)", line)[1].decode(): len(line) for line in bad}
            dropped = {key: value for key, value in daemon.metrics().items()
                       if key.startswith("notail_dropped_lines_total") and value}
            print(f"  bad_lines: arrived {kinds}, dropped {dropped}, statuses {receiver.statuses()}", flush=True)
            self.assertEqual(len(kinds) + sum(dropped.values()), 3, daemon.notail.stderr())
            self.assertEqual(set(dropped.values()) - {1.0}, set(), "one reason for several")
            self.assertNotIn("old", kinds)
            self.assertEqual([daemon.sum("notail_client_dropped_lines_total", reason="too_old"),
                              daemon.sum("notail_client_cut_lines_total"),
                              daemon.sum("notail_client_cut_metadata_lines_total")], [1, 1, 1], str(daemon.metrics()))
            self.assertLess(kinds.get("long", 0), LONG_BYTES)

    @staticmethod
    def kept(receiver):
        return [entry for _, entries in receiver.streams().values() for entry in entries]
