# SPDX-License-Identifier: Apache-2.0
"""Compares what arrived with what was written by tests/e2e/numbered.c, as Loki would: labels + time + line are one entry.

    judge = Judge()
    judge.read(sink.stored())
    verdict = judge.verdict({"a": 5000, "a-err": 12})      # how many records each id wrote
    print(verdict)                                          # the first differences, to be read
    verdict.faults() == {}

A record that arrives again with the same labels and time is one that Loki has already (`again`); with others it is
double. In order is by the times that Loki sorts by, and by when each first arrived.
"""

import array
import collections
import os
import re
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../receiver"))

import snappy  # noqa: E402
from snappy._snappy import CompressedLengthError  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402

import loki_labels  # noqa: E402
from loki_message import PushRequest  # noqa: E402

HEAD = re.compile(rb"~(\S+) (\d+) (\d+) ([0-9a-f]{8}) ")
SHOWN = 5
NS = 10**9


class Writer:
    """What arrived of one id, by number."""

    def __init__(self):
        self.times = array.array("Q")
        self.labels = array.array("H")
        self.receipts = array.array("Q")
        self.highest = {}  # by labels: Loki knows an order within a stream
        self.again = 0
        self.double = []
        self.late = []

    def add(self, number, ts, labels, receipt_ns):
        if number >= len(self.times):
            more = max(number + 1 - len(self.times), 4096)
            for one in (self.times, self.labels, self.receipts):
                one.extend(array.array(one.typecode, bytes(more * one.itemsize)))
        if self.times[number]:
            if (self.times[number], self.labels[number]) == (ts, labels):
                self.again += 1
            else:
                self.double.append((number, self.times[number], ts, self.labels[number], labels))
            return
        self.times[number], self.labels[number], self.receipts[number] = ts, labels, receipt_ns
        highest = self.highest.get(labels, -1)
        if number < highest:
            self.late.append((number, highest))
        else:
            self.highest[labels] = number


class Verdict:
    """What is wrong, by kind: {kind: [(id, text)]}; and numbers of what is not."""

    def __init__(self):
        self.found = collections.defaultdict(list)
        self.counts = collections.Counter()
        self.numbers = collections.Counter()

    def add(self, kind, who, text, count=1):
        self.counts[kind] += count
        self.found[kind].append(f"{who}: {text}")

    def faults(self, *but):
        """{kind: count}, without kinds that are expected."""
        return {kind: count for kind, count in self.counts.items() if kind not in but and count}

    def __str__(self):
        lines = [", ".join(f"{count} {name}" for name, count in sorted(self.numbers.items()))]
        for kind, texts in self.found.items():
            lines.append(f"{kind}: {self.counts[kind]}")
            lines += ["  " + text for text in texts[:SHOWN]]
            if len(texts) > SHOWN:
                lines.append(f"  ... {len(texts) - SHOWN} more places")
        return "\n".join(lines)


class Judge:
    """`multiline`: records of several lines arrive as one entry; otherwise their later lines are entries of their own
    and counted only."""

    def __init__(self, multiline=True):
        self.multiline = multiline
        self.writers = collections.defaultdict(Writer)
        self.label_ids = {}
        self.labels = []
        self.fragments = []
        self.gaps = {}
        self.bad = []
        self.continuations = 0
        self.requests = 0
        self.bytes = 0

    def read(self, stored):
        for one in stored:
            self.requests += 1
            try:
                data = snappy.uncompress(one.body)
                streams = PushRequest.FromString(data).streams
            except (snappy.UncompressError, CompressedLengthError, ValueError, DecodeError) as error:
                self.bad.append(f"{type(error).__name__}: {len(one.body)} bytes, {shorten(bytes(one.body))}")
                continue
            self.bytes += len(data)
            for stream in streams:
                self.read_stream(stream, one.receipt_ns)
        return self

    def read_stream(self, stream, receipt_ns):
        labels = self.label_ids.get(stream.labels)
        if labels is None:
            labels = self.label_ids[stream.labels] = len(self.labels)
            self.labels.append(dict(loki_labels.parse(stream.labels)))
        for entry in stream.entries:
            line = entry.line
            ts = entry.timestamp.seconds * NS + entry.timestamp.nanos
            head = HEAD.match(line)
            if not head:
                self.read_other(line, ts, labels, entry)
                continue
            payload = line[head.end():]
            if not self.multiline:
                whole = len(payload) == int(head[3]) or payload.find(b"\n") < 0
            else:
                whole = len(payload) == int(head[3]) and zlib.crc32(payload) == int(head[4], 16)
            if not whole:
                self.fragments.append((labels, ts, line))
                continue
            self.writers[head[1].decode()].add(int(head[2]), ts, labels, receipt_ns)

    def read_other(self, line, ts, labels, entry):
        metadata = {pair.name: pair.value for pair in entry.structured_metadata}
        if b"notail_gap" in metadata or line.startswith(b"notail: "):
            self.gaps[(labels, ts, line)] = metadata
        elif not self.multiline and line.startswith(b"    at frame"):
            self.continuations += 1
        else:
            self.fragments.append((labels, ts, line))

    def arrived(self):
        """How many different records are there."""
        return sum(sum(1 for ts in writer.times if ts) for writer in self.writers.values())

    def latencies_ms(self):
        """From a record's time to its first receipt, sorted."""
        return sorted((receipt - ts) / 1e6 for writer in self.writers.values()
                      for ts, receipt in zip(writer.times, writer.receipts) if ts)

    def text(self, labels):
        return loki_labels.text(self.labels[labels].items())

    def verdict(self, written, label_changes=0, back_steps=0):
        """`written`: {id: records}. `label_changes`: how often the labels of an id may change; `back_steps`: how often its
        times may go back (the clock was turned)."""
        verdict = Verdict()
        for who, count in sorted(written.items()):
            self.judge_writer(verdict, who, self.writers.get(who) or Writer(), count, label_changes, back_steps)
        for who in sorted(set(self.writers) - set(written)):
            verdict.add("strange", who, "nobody wrote that")
        for labels, ts, line in self.fragments:
            verdict.add("fragments", self.text(labels), f"at {ts}: {shorten(line)}")
        for text in self.bad:
            verdict.add("requests that are none", "sink", text)
        verdict.numbers.update(arrived=self.arrived(), requests=self.requests, bytes=self.bytes, gaps=len(self.gaps),
                               streams=len(self.labels), again=sum(w.again for w in self.writers.values()))
        return verdict

    def judge_writer(self, verdict, who, writer, count, label_changes, back_steps):
        have = list(writer.times[:count]) + [0] * (count - len(writer.times))
        for begin, end in runs(have):
            verdict.add("lost", who, f"{begin} to {end - 1} of {count}" + self.beside(writer, begin, end), end - begin)
        if any(writer.times[count:]):
            verdict.add("strange", who, f"more than the {count} that were written")
        for number, ts, other, labels, other_labels in writer.double:
            what = f"{ts} and {other}" if ts != other else f"{self.text(labels)} and {self.text(other_labels)}"
            verdict.add("double", who, f"{number}: {what}")
        for number, highest in writer.late:
            verdict.add("late", who, f"{number} arrived first after {highest} had")
        last, last_labels, steps, changes = 0, None, 0, 0
        for number, ts in enumerate(have):
            if not ts:
                continue
            if ts <= last:
                steps += 1
                if steps > back_steps:
                    verdict.add("disorder", who, f"{number} at {ts}, the one before it at {last}")
            if last_labels is not None and writer.labels[number] != last_labels:
                changes += 1
                if changes > label_changes:
                    verdict.add("labels", who, f"{number}: {self.text(last_labels)}, then {self.text(writer.labels[number])}")
            last, last_labels = ts, writer.labels[number]

    def beside(self, writer, begin, end):
        """Where in time a hole is."""
        before = writer.times[begin - 1] if 0 < begin <= len(writer.times) else 0
        after = writer.times[end] if end < len(writer.times) else 0
        return f", between {before} and {after}"


def runs(have):
    """[(begin, end)] of the numbers that are not there."""
    found, begin = [], None
    for number, ts in enumerate(have):
        if not ts and begin is None:
            begin = number
        elif ts and begin is not None:
            found.append((begin, number))
            begin = None
    if begin is not None:
        found.append((begin, len(have)))
    return found


def shorten(line, limit=160):
    return repr(line) if len(line) <= limit else f"{line[:limit // 2]!r}...{line[-limit // 2:]!r} ({len(line)} bytes)"
