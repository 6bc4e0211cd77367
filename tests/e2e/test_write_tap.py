# SPDX-License-Identifier: Apache-2.0
"""What --tap write has of each way: the same containers as in test_ways.py, with the write tap copying.

WAYS.md names a class for each way. A class is what is asserted of a way's part of the streams, CLASSES below; README's
table says the same to users, and is held to what is asserted here.
"""

import os
import re

import harness
import test_ways

GAP = re.compile(rb"notail: (\d+) bytes in \d+ writes lost here: unreadable")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\w+) \| ", re.M)

# Row of README's table by class: what is written, what one gets.
README = {
    "exact": ("`write`, `writev`, `pwritev2`, `send*`, `vmsplice`, AIO, io_uring's writes and sends, one at a time", "exact"),
    "order": ("the same by several threads or processes at once", "every byte; whole records may change places"),
    "changed": ("from a buffer that changes meanwhile, or before it is read", "as it was when the call returned"),
    "counted": ("`sendfile`, `splice`, `tee`, io_uring's too", "counted, not copied: a gap line in their place"),
    "unseen": ("io_uring without a completion", "neither copied nor counted"),
    "terminal": ("to a terminal", "what was written, without echo and carriage returns"),
    "more": ("what the runtime does not get (read back, or answered by a seccomp supervisor)", "captured all the same"),
}
# Of the ways of a class, what their names begin with.
NAMES = {
    "order": r"threads|processes|short_lived|shell_background",
    "changed": r"write_changed_buffer|write_unmapped_meanwhile|vmsplice_changed",
    "counted": r"(tty_)?(sendfile|splice)|tee|uring_splice|uring_tee|cat_file",
    "unseen": r"uring_no_completion",
    "terminal": r"tty_(?!sendfile|splice)",
    "more": r"foreign_reader|seccomp_answered",
}


def here(*names):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), *names)


def documented():
    """{way: (flag, class)} of WAYS.md."""
    with open(here("WAYS.md"), encoding="utf-8") as file:
        return {way: (flag, kind) for way, flag, kind in ROW.findall(file.read())}


def without_returns(lines):
    return [line[:-1] if line.endswith(b"\r") else line for line in lines]


def histogram(lines):
    """How often each byte is there."""
    data = b"\n".join(lines)
    return [data.count(bytes([byte])) for byte in range(256)]


class WriteTap(harness.TestCase):
    needs_programs = ("ways",)

    def assert_exact(self, captured, recorded):
        self.assert_lines(captured, recorded)

    def assert_order(self, captured, recorded):
        self.assertEqual(histogram(captured), histogram(recorded))

    def assert_changed(self, captured, recorded):
        self.assertEqual(sum(map(len, captured)) + len(captured), sum(map(len, recorded)) + len(recorded))

    def assert_counted(self, captured, recorded):
        """What is left and what the gaps count is as much as was recorded."""
        recorded = without_returns(recorded)
        gaps = [int(match.group(1)) for match in map(GAP.fullmatch, captured) if match]
        rest = [line for line in captured if not GAP.fullmatch(line)]
        self.assertTrue(gaps, "nothing was lost")
        self.assertEqual(sum(gaps) + sum(map(len, rest)) + len(rest), sum(map(len, recorded)) + len(recorded))

    def assert_unseen(self, captured, recorded):
        self.assertEqual([line for line in captured if line not in recorded], [])
        self.assertLess(len(captured), len(recorded))

    def assert_more(self, captured, recorded):
        """What is recorded is what was captured without some bytes, which may be in the middle of a line."""
        captured, recorded = b"\n".join(captured), b"\n".join(recorded)
        self.assertGreater(len(captured), len(recorded))
        left = iter(captured)
        self.assertTrue(all(byte in left for byte in recorded), "in the record's order")

    def assert_terminal(self, captured, recorded):
        """The same lines; a terminal that translates more than line ends is told by its number of them."""
        self.assertEqual(len(captured), len(recorded))
        captured, recorded = without_returns(captured), without_returns(recorded)
        changed = [(a, b) for a, b in zip(sorted(captured), sorted(recorded)) if a != b]
        self.assertLessEqual(len(changed), 1, changed)

    def check_way(self, flag, kind, way):
        run = test_ways.runs.get(self, "ways", flag, "write")
        for stream, (captured, recorded) in run.by_way.items():
            if flag == "tty" and stream == "stderr":
                continue
            self.assertIn(way, recorded, f"{stream}: docker's record has no mark of this way")
            if stream == "stderr" and kind in ("counted", "unseen", "more"):
                self.assert_exact(captured.get(way, []), recorded[way])
            else:
                getattr(self, f"assert_{kind}")(captured.get(way, []), recorded[way])

    def check_counts(self, flag):
        """Both counts are the write tap's: equal, and what is not copied is lost with a reason."""
        run = test_ways.runs.get(self, "ways", flag, "write")
        for stream, counts in run.counts.items():
            if counts:
                self.assertEqual(counts["tap"], "write", counts)
                self.assertEqual(counts["written"], counts["copied"] + counts["lost"], counts)
                self.assertEqual((counts["missing"], counts["uncounted"]), (0, 0), counts)
                self.assertEqual(counts["lost"] > 0, stream == "stdout" and flag in ("counted", "tty"), counts)

    def test_each_way_has_a_class(self):
        found = documented()
        self.assertEqual({way: flag for way, (flag, _) in found.items()}, dict(test_ways.ways()))
        self.assertEqual({kind for _, kind in found.values()}, set(README))

    def test_readme_says_the_same(self):
        with open(here("..", "..", "README.md"), encoding="utf-8") as file:
            rows = re.findall(r"^\| (.*) \| (.*) \|$", file.read().partition("| With `--tap write` |")[2].partition("\n\n")[0], re.M)
        self.assertEqual(rows, list(README.values()))
        for way, (_, kind) in documented().items():
            names = [one for one, pattern in NAMES.items() if re.match(pattern, way)] or ["exact"]
            self.assertEqual(names, [kind], f"{way}: README's rows stand for other ways")


def add_tests():
    def way_test(flag, kind, way):
        return lambda self: self.check_way(flag, kind, way)

    def count_test(flag):
        return lambda self: self.check_counts(flag)

    for way, (flag, kind) in documented().items():
        if flag != "socket":
            setattr(WriteTap, f"test_{way}", way_test(flag, kind, way))
    for flag in ("counted", "moved", "taken", "answered", "tty"):
        setattr(WriteTap, f"test_counts_of_{flag}", count_test(flag))


add_tests()
