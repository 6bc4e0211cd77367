# SPDX-License-Identifier: Apache-2.0
"""What the tests of the engines besides docker share: one engine of each kind a process, and lines by container id."""

import os

import containerd
import cri
import harness
import podman

# Without a seccomp filter and with two capabilities more, so that every way of ways.c is possible.
WAYS_OPTIONS = ("--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE")

_engines = {}


def podman_engine(runtime):
    if runtime not in _engines:
        _engines[runtime] = podman.Podman(runtime, harness.programs()).__enter__()
    return _engines[runtime]


def containerd_engine():
    if "containerd" not in _engines:
        _engines["containerd"] = containerd.Containerd(harness.programs()).__enter__()
    return _engines["containerd"]


def cri_engine():
    if "cri" not in _engines:
        _engines["cri"] = cri.Cri(harness.programs()).__enter__()
    return _engines["cri"]


def why_no_podman(runtime):
    gone = podman.missing(runtime)
    return harness.why_not_root() or (f"not installed: {gone}" if gone else "")


def why_no_containerd():
    gone = containerd.missing()
    return harness.why_not_root() or (f"not installed: {gone}" if gone else "")


def why_no_cri():
    gone = cri.missing()
    return harness.why_not_root() or (f"not installed: {gone}" if gone else "")


def split(data):
    """Lines as --stdout has them: what follows the last newline is one of its own."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


class EngineCase(harness.TestCase):
    """Containers are known by their ids here: `notail.of_id(id)` in place of `notail.of(name)`."""

    needs_engine = False
    needs_programs = ("writer", "ways", "ways32")

    def watch(self, *containers, options=("--no-docker",)):
        """notail --stdout=json --stats; of these ids (or names) only, if some are named."""
        words = [word for one in containers for word in ("--container", one)]
        return self.plain_notail("--stdout=json", "--stats", *options, *words)

    def entries_of(self, notail, cid, stream=None):
        return [
            e for e in notail.entries()
            if e.metadata.get("container_id") == cid and (stream is None or e.stream == stream)
        ]

    def lines_of(self, notail, cid, stream):
        return [e.line for e in self.entries_of(notail, cid, stream)]

    def assert_captured(self, notail, cid, record):
        """The lines of a container that ended are `record`'s, byte for byte, in order, once."""
        for stream, expected in record.items():
            try:
                harness.wait_for(lambda: len(self.lines_of(notail, cid, stream)) >= len(expected), interval=0.1)
            except AssertionError:
                pass  # the comparison says more
            self.assert_lines(self.lines_of(notail, cid, stream), expected, f"{cid[:12]} {stream}")

    def assert_counted(self, notail, cid, record, equal=False, half=()):
        """What the taps counted of a container's streams is what the record has; `equal`: the write tap too.
        `half`: the streams whose last line has no newline."""
        for stream, lines in record.items():
            if not lines:
                continue
            counts = notail.stream(cid, stream)
            self.assertEqual(counts["copied"], sum(map(len, lines)) + len(lines) - (stream in half), counts)
            self.assertEqual((counts["lost"], counts["missing"]), (0, 0), counts)
            if equal:
                self.assertEqual((counts["written"], counts["uncounted"]), (counts["copied"], 0), counts)


def environment_number(name, default):
    return int(os.environ.get(name, default))
