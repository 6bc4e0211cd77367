# SPDX-License-Identifier: Apache-2.0
"""What arrived of a run: how many lines, which of them twice, and how long each was under way.

A writer's line is `<CLOCK_REALTIME ns> <thread> <number> ...`; with the container it is known by, each
line is one of its kind.
"""

import array
import mmap
import os
import re
import struct

import snappy

import loki_message
from loki_judge import Judge
from loki_labels import parse
from loki_receiver import read_store

_JSON = re.compile(rb'"line":"(\d{19}) (\d+) (\d+) [^\n]*?"container":"([^"]+)"[^\n]*\n')
_LINE = re.compile(rb"(\d{19}) (\d+) (\d+) ")


class Arrived:
    def __init__(self):
        self.latencies = array.array("q")
        self.known = {}
        self.duplicates = 0
        self.strange = 0

    def add(self, container, stamp, thread, number, receipt_ns):
        self.latencies.append(receipt_ns - stamp)
        seen = self.known.setdefault((container, thread), bytearray())
        if number >= len(seen):
            seen.extend(bytes(max(number + 1 - len(seen), 65536)))
        if seen[number]:
            self.duplicates += 1
        seen[number] = 1

    @property
    def lines(self):
        """Different lines."""
        return len(self.latencies) - self.duplicates

    def percentiles_ms(self):
        """(p50, p99, max), or None where nothing arrived."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6
        return at(0.50), at(0.99), ordered[-1] / 1e6


def read_json(data_path, times_path):
    """What consumer.py read of --stdout=json."""
    arrived = Arrived()
    if os.path.getsize(data_path) == 0:
        return arrived
    with open(times_path, "rb") as file:
        times = struct.iter_unpack("<QQ", file.read())
    receipt_ns, end = next(times)
    with open(data_path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _JSON.finditer(data):
            while match.end() > end:
                receipt_ns, end = next(times)
            stamp, thread, number, container = match.groups()
            arrived.add(container, int(stamp), int(thread), int(number), receipt_ns)
    return arrived


def read_bodies(path):
    """What the load-mode receiver kept."""
    arrived = Arrived()
    for receipt_ns, _, body in read_store(path):
        request = loki_message.PushRequest.FromString(snappy.uncompress(body))
        for stream in request.streams:
            container = dict(parse(stream.labels)).get("container", "")
            for entry in stream.entries:
                match = _LINE.match(entry.line)
                if match:
                    stamp, thread, number = map(int, match.groups())
                    arrived.add(container, stamp, thread, number, receipt_ns)
                else:
                    arrived.strange += 1
    return arrived


def judge_bodies(path):
    """{status: how many} as the strict receiver would have answered, each body at its own time."""
    judge, statuses = Judge(), {}
    for receipt_ns, headers, body in read_store(path):
        status = judge.push(headers, body, receipt_ns).status
        statuses[status] = statuses.get(status, 0) + 1
    return statuses
