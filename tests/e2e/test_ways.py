# SPDX-License-Identifier: Apache-2.0
"""Every way to write and to hold the file that ways.c knows, byte for byte against docker's own record.

The ways run one after the other in a few containers, between marks; a container is run once and every
test looks at the part between its marks. WAYS.md lists what is covered.
"""

import os
import re
import subprocess

import harness

# Without a seccomp filter and with two capabilities more, so that every way is possible.
OPTIONS = ("--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE")
# Of a call that only said that it wrote, at the end.
MISSING = re.compile(rb"notail: \d+ bytes lost here: missing")
MARK = re.compile(rb"== (\w+)\r?")


def ways():
    """(name, flag) of all ways; empty when the program is not built."""
    program = harness.program("ways")
    if not program:
        return []
    out = subprocess.run([program, "--list"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True)
    return [tuple(line.split()) for line in out.stdout.splitlines()]


def sections(lines):
    """The lines after each way's first mark up to the next way's."""
    parts, current, name = {}, None, None
    for line in lines:
        mark = MARK.fullmatch(line)
        if mark and mark.group(1).decode() != name:
            name = mark.group(1).decode()
            current = parts.setdefault(name, [])
        elif current is not None:
            current.append(line)
    return parts


class Run:
    """A container that ran the ways of one flag, as docker and as notail have it."""

    def __init__(self, test, program, flag, tap="auto", driver="local"):
        options = [*OPTIONS, "-t"] if flag == "tty" else OPTIONS
        name = test.name(f"{program}-{flag}")
        notail = test.notail("--tap", tap)
        test.engine.run("busybox", program, "--flag", flag, name=name, options=options, driver=driver)
        self.recorded = test.engine.record(name)
        self.captured, self.counts, self.whole = {}, {}, {}
        for stream, lines in self.recorded.items():
            self.counts[stream] = notail.stream(name, "tty" if flag == "tty" else stream) if lines else None
            try:
                if tap != "write":  # that may have fewer
                    notail.wait_lines(name, stream, len(lines))
            except AssertionError as error:
                self.whole[stream] = str(error)
        notail.stop()
        for stream in self.recorded:
            self.captured[stream] = notail.lines(name, stream)
            if flag == "answered":
                self.captured[stream] = [line for line in self.captured[stream] if not MISSING.fullmatch(line)]
        self.by_way = {
            stream: (sections(self.captured[stream]), sections(self.recorded[stream])) for stream in self.recorded
        }


class Runs:
    """Each run once; again in the second round of tries."""

    def __init__(self):
        self.known = {}

    def get(self, test, *key):
        key = (harness.attempt(), *key)
        if key not in self.known:
            try:
                self.known[key] = Run(test, *key[1:])
            except Exception as error:
                self.known[key] = error
                raise
        if isinstance(self.known[key], Exception):
            test.fail(f"the container of this test's ways failed before: {self.known[key]}")
        return self.known[key]


runs = Runs()


class Ways(harness.TestCase):
    needs_programs = ("ways", "ways32", "ways_musl", "writer")

    def check_way(self, program, flag, way):
        run = runs.get(self, program, flag)
        for stream, (captured, recorded) in run.by_way.items():
            if flag == "tty" and stream == "stderr":
                continue
            self.assertIn(way, recorded, f"{stream}: docker's record has no mark of this way")
            self.assert_lines(captured.get(way, []), recorded[way], stream)
        text = self.result_of(run, way)
        if "impossible" in text:
            self.skipTest(f"not possible here: {text}")
        self.assertIn(f"-- {way} ok", text)

    @staticmethod
    def result_of(run, way):
        """What the program says of a way: its last mark."""
        lines = run.by_way["stdout"][1].get(way, [])
        return next((l for l in lines if l.startswith(f"-- {way} ".encode())), b"").decode(errors="replace")

    def check_whole(self, program, flag):
        """The whole streams, marks and all; and what the two taps counted."""
        run = runs.get(self, program, flag)
        for stream, recorded in run.recorded.items():
            self.assert_lines(run.captured[stream], recorded, stream)
            if not recorded or flag == "tty":
                continue
            counts = run.counts[stream]
            self.assertEqual(counts["copied"], sum(map(len, recorded)) + len(recorded), counts)
            self.assertEqual(counts["lost"], 0, counts)
            if flag == "counted":
                self.assertEqual(counts["written"], counts["copied"], counts)
                self.assertEqual(counts["uncounted"], 0, counts)
            if flag == "answered":
                self.assertEqual(counts["written"], counts["copied"] + counts["missing"], counts)
                continue
            self.assertEqual(counts["missing"], 0, counts)
            if flag == "taken" and stream == "stdout":
                self.assertGreater(counts["foreign_reader"], 0, counts)
                self.assertEqual(counts["written"], counts["copied"] + counts["foreign_reader"], counts)

    def check_other_program(self, program, flag):
        """The same ways in another form of the program: the streams, the counts, and that each was gone."""
        self.check_whole(program, flag)
        run = runs.get(self, program, flag)
        for way in [name for name, its in ways() if its == flag]:
            self.assertRegex(self.result_of(run, way), rf"^-- {way} (ok|impossible)")

    def test_musl_counted(self):
        self.check_other_program("ways_musl", "counted")

    def test_musl_moved(self):
        self.check_other_program("ways_musl", "moved")

    # Ways with a line that json-file keeps with U+FFFD in it: `local` has the bytes.
    NO_TEXT = {"all_bytes", "random_bytes", "invalid_utf8", "dd"}

    def check_json_file(self, flag):
        """Docker's other record: json-file, where lines are text."""
        run = runs.get(self, "ways", flag, "auto", "json-file")
        for stream, (captured, recorded) in run.by_way.items():
            self.assertEqual(list(captured), list(recorded), stream)
            for way, lines in recorded.items():
                if way not in self.NO_TEXT:
                    self.assert_lines(captured[way], lines, f"{stream} of {way}")
                else:
                    self.assertEqual(len(captured[way]), len(lines), f"{stream} of {way}")

    def test_json_file_counted(self):
        self.check_json_file("counted")

    def test_json_file_moved(self):
        self.check_json_file("moved")

    def test_list_is_documented(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "WAYS.md"), encoding="utf-8") as file:
            documented = set(re.findall(r"`(\w+)`", file.read()))
        missing = [name for name, _ in ways() if name not in documented]
        self.assertEqual(missing, [], "not in WAYS.md")


def add_tests():
    def way_test(program, flag, name):
        return lambda self: self.check_way(program, flag, name)

    def whole_test(program, flag):
        return lambda self: self.check_whole(program, flag)

    for program, suffix in (("ways", ""), ("ways32", "_32bit")):
        for flag in ("counted", "moved", "taken", "answered", "tty"):
            if program == "ways" or flag in ("counted", "moved"):
                setattr(Ways, f"test_whole_{flag}{suffix}", whole_test(program, flag))
        for name, flag in ways():
            if flag in ("counted", "moved") or (program == "ways" and flag != "socket"):
                setattr(Ways, f"test_{name}{suffix}", way_test(program, flag, name))


add_tests()


class Containers(harness.TestCase):
    """The same few ways in containers of every kind: what the record has, notail has."""

    needs_programs = ("ways",)
    SOME = ("write", "dev_stderr", "proc_1_fd_1", "swapped", "orphan", "scm_rights", "sendfile", "exec", "halves_of_both")

    def check(self, *options, ways_to_run=SOME, stream=None):
        name = self.name("some")
        notail = self.notail()
        self.engine.run("busybox", "ways", *ways_to_run, name=name, options=options)
        self.assert_as_recorded(notail, name, stream)
        recorded = self.engine.record(name)["stdout"]
        self.assertEqual(len([l for l in recorded if l.startswith(b"-- ") and b" ok" in l]), len(ways_to_run))

    def test_container_plain(self):
        self.check()

    def test_container_init(self):
        self.check("--init")

    def test_container_pid_host(self):
        # /proc/1/fd/1 is the host's there.
        self.check("--pid=host", ways_to_run=[w for w in self.SOME if w != "proc_1_fd_1"])

    def test_container_pid_host_init(self):
        self.check("--pid=host", "--init", ways_to_run=["write", "orphan"])

    def test_container_user(self):
        self.check("--user", "65534:65534", ways_to_run=["write", "sendfile", "exec", "dev_stderr"])

    def test_container_stdin_open(self):
        self.check("-i")

    def test_container_read_only(self):
        self.check("--read-only", "--tmpfs", "/tmp")

    def test_container_seccomp_unconfined(self):
        self.check("--security-opt", "seccomp=unconfined")

    def test_container_ipc_and_uts_host(self):
        self.check("--ipc=host", "--uts=host")

    def test_container_cgroupns_host(self):
        self.check("--cgroupns=host")

    def test_container_cgroupns_private(self):
        self.check("--cgroupns=private")

    def test_container_cgroup_parent(self):
        self.check("--cgroup-parent", f"/e2e-{harness.RUN_ID}")

    def test_container_limits(self):
        self.check("--memory", "256m", "--pids-limit", "200")
