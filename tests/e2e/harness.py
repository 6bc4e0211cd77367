# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the notail under test, the one dockerd of the process, waiting.

    class Some(harness.TestCase):
        def test_x(self):
            name = self.name("x")                       # unique on this machine
            notail = self.notail()                      # --stdout=json of this test's containers, waits for `ready`
            self.engine.run("busybox", "echo", "hi", name=name)
            notail.wait_lines(name, "stdout", [b"hi"])
            self.assertEqual(notail.stop(), 0)
            notail.stream(name, "stdout")["written"]    # the counts notail prints at a stream's end

Other containers may run on this machine: tests select theirs by name, never by "all there is".
Nothing here waits for a fixed time; conditions have a generous deadline, so that a loaded machine is
slow and not wrong.
"""

import atexit
import base64
import binascii
import collections
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import unittest

import engine as engine_module

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
NOTAIL = os.path.abspath(os.environ.get("NOTAIL", os.path.join(BUILD, "notail")))
DEADLINE = 60

RUN_ID = secrets.token_hex(3)

Entry = collections.namedtuple("Entry", "ts stream line labels metadata")


def program(name):
    """The path of a test program; None when it is not built."""
    path = os.path.join(BUILD, "tests", name)
    return path if os.access(path, os.X_OK) else None


def programs():
    """The test programs that are built, for an image."""
    return [path for path in map(program, engine_module.PROGRAMS) if path]


def why_not_root():
    return "" if os.geteuid() == 0 else "needs root"


def why_no_engine():
    """Why tests with a docker engine cannot run here; empty when they can."""
    gone = engine_module.missing()
    return why_not_root() or (f"not installed: {gone}" if gone else "")


def wait_for(condition, timeout=DEADLINE, what="the condition", interval=0.03):
    """Calls `condition` until it is true and returns its value; AssertionError past the deadline.
    `what` may be a function: what to say then."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: {what() if callable(what) else what}")
        time.sleep(interval)


_attempt = 1


def attempt():
    """1, or 2 while the runner tries again what failed: costly things that tests share are made anew then."""
    return _attempt


def next_attempt():
    global _attempt
    _attempt += 1


class Shared:
    """The one dockerd of the process, and the directory for files. Made when first asked for."""

    def __init__(self):
        self._engine = None
        self._directory = None
        self._numbers = itertools.count(1)

    def engine(self):
        if self._engine is None or self._engine.base is None:
            engine_module.sweep()
            self._engine = engine_module.Dockerd(programs())
            self._engine.launch()
            self._engine.load_images()
        return self._engine

    def path(self, name):
        """A new file name in the process' own temporary directory."""
        if self._directory is None:
            self._directory = engine_module.make_base()
        return os.path.join(self._directory, f"{next(self._numbers)}-{name}")

    def close(self):
        Notail.kill_all()
        if self._engine:
            self._engine.stop()
            self._engine = None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


class Notail:
    """A running notail with its output in files. `args` are its arguments; nothing is added but that a `run` pins
    and spools nothing unless they say where: tests run side by side.

    wait=False returns at once (for commands that end by themselves); otherwise the constructor waits
    for `ready`. `stdout` is a file or descriptor to write to instead of the file that entries() reads.
    `prefix` is an argv to start it under (setpriv ...).
    """

    living = []
    started = []  # since the runner last asked: for the tails it prints of a failed test

    def __init__(self, *args, wait=True, stdout=None, stdin=subprocess.DEVNULL, env=None, prefix=(), binary=None):
        if args[:1] == ("run",) and "--pins" not in args:
            args = ("run", "--pins", "off", *args[1:])
        if args[:1] == ("run",) and "--spool-dir" not in args:
            args = ("run", "--spool-dir", "off", *args[1:])
        self.args = args
        self.stdout_path = shared.path("stdout")
        self.stderr_path = shared.path("stderr")
        self._parsed = []
        self._offset = 0
        self._entries_size = 0
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                [*prefix, binary or NOTAIL, *args], stdin=stdin, stdout=stdout if stdout is not None else out,
                stderr=err, env={**os.environ, **(env or {})}, start_new_session=True,
            )
        Notail.living.append(self)
        Notail.started.append(self)
        if wait:
            self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self, timeout=DEADLINE):
        """Waits for the line `ready` on stderr."""

        def ready():
            if re.search(rb"^(notail: )?ready$", self.stderr_bytes(), re.M):
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"notail ended with {self.process.returncode} before `ready`: {self.stderr()}")
            return False

        wait_for(ready, timeout, lambda: f"notail is not ready: {self.stderr()}")

    def wait(self, timeout=DEADLINE):
        """Waits for its end; the exit status (negative: the signal)."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"notail did not end within {timeout} s: {self.stderr()}") from None

    def stop(self, timeout=30, signo=signal.SIGTERM):
        """SIGTERM, and waits; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signo)
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self in Notail.living:
            Notail.living.remove(self)

    @classmethod
    def kill_all(cls):
        for one in list(cls.living):
            one.kill()

    # Its output.

    def stdout_bytes(self):
        with open(self.stdout_path, "rb") as file:
            return file.read()

    def stderr_bytes(self):
        with open(self.stderr_path, "rb") as file:
            return file.read()

    def stderr(self):
        """stderr as text, for messages and searches."""
        return self.stderr_bytes().decode(errors="replace")

    def entries(self):
        """What --stdout=json printed so far, as Entry (line: bytes), in order."""
        with open(self.stdout_path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        for raw in data[:end].splitlines():
            self._parsed.append(parse_entry(raw))
        return self._parsed

    def of(self, container, stream=None):
        """The entries of one container (by its label), of one stream or of both."""
        return [
            e for e in self.entries()
            if e.labels.get("container") == container and (stream is None or e.stream == stream)
        ]

    def lines(self, container, stream=None):
        return [e.line for e in self.of(container, stream)]

    def wait_lines(self, container, stream, expected, timeout=DEADLINE):
        """Waits until the lines of a stream are `expected` (a list, or their number); returns them."""
        if isinstance(expected, int):
            done = lambda: len(self.lines(container, stream)) >= expected
        else:
            done = lambda: self.lines(container, stream) == list(expected)
        wait_for(
            done, timeout,
            lambda: f"{container} {stream}: {shorten(self.lines(container, stream))} is not {shorten(expected)}\n{self.stderr()}",
        )
        return self.lines(container, stream)

    def streams(self):
        """The counts that --stats prints of each stream at its end: a list of dicts with container, stream,
        tap, the numbers, and `open` for those that had not ended when notail did. A line is
        `stream NAME stdout|stderr|tty tap=read written=1 copied=1 ... [open]`."""
        found = []
        for match in re.finditer(r"^(?:notail: )?stream (\S+) (stdout|stderr|tty) (.*)$", self.stderr(), re.M):
            counts = dict(pair.split("=", 1) for pair in match.group(3).split() if "=" in pair)
            counts = {key: int(value) if value.isdigit() else value for key, value in counts.items()}
            still_open = match.group(3).split()[-1] == "open"
            found.append({"container": match.group(1), "stream": match.group(2), "open": still_open, **counts})
        return found

    def stream(self, container, stream, timeout=DEADLINE):
        """The counts of one stream (`stdout`, `stderr` or `tty`) at its end or notail's; waits for them. Of one
        container, by its name, or by its id where lines of it say the name."""

        def ended():
            found = [s for s in self.streams() if s["stream"] == stream]
            if any(s["container"] == container for s in found):
                return [s for s in found if s["container"] == container]
            names = {e.labels.get("container") for e in self.entries() if e.metadata.get("container_id") == container}
            return [s for s in found if s["container"] in names]

        return wait_for(ended, timeout, lambda: f"no counts of {container} {stream}: {self.stderr()}")[-1]


def parse_entry(raw):
    """One line of --stdout=json, held to its contract."""
    entry = json.loads(raw)
    if "line_base64" in entry:
        try:
            line = base64.b64decode(entry["line_base64"], validate=True)
        except binascii.Error as error:
            raise AssertionError(f"bad base64: {raw[:200]!r}") from error
    else:
        line = entry["line"].encode()
    if entry["stream"] not in ("stdout", "stderr"):
        raise AssertionError(f"bad stream: {raw[:200]!r}")
    return Entry(entry["ts"], entry["stream"], line, entry["labels"], entry["metadata"])


def shorten(value, limit=600):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(value) if hasattr(value, '__len__') else '?'} in all)"


def first_difference(got, expected):
    """Where two lists of lines part, as a text; empty when they are equal."""
    if got == expected:
        return ""
    at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
    return (
        f"{len(got)} lines, expected {len(expected)}; the first difference is at {at}: "
        f"{shorten(got[at : at + 2])}, expected {shorten(expected[at : at + 2])}"
    )


class TestCase(unittest.TestCase):
    """Needs root and an engine; says SKIP with the reason otherwise. `needs_engine = False`: only root.
    `needs_programs`: names of test programs that must be built."""

    needs_engine = True
    needs_programs = ()
    maxDiff = 2000

    def setUp(self):
        why = why_no_engine() if self.needs_engine else why_not_root()
        if why:
            self.skipTest(why)
        if not os.access(NOTAIL, os.X_OK):
            self.fail(f"{NOTAIL} is not built")
        for name in self.needs_programs:
            if not program(name):
                self.fail(f"{os.path.join(BUILD, 'tests', name)} is not built: make test-programs")
        self._containers = []

    @property
    def engine(self):
        return shared.engine()

    def rewrite(self, path, text):
        """At once, as an editor does."""
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def file(self, text):
        """A new file with that text, by its path."""
        path = shared.path("notail.yaml")
        self.rewrite(path, text)
        return path

    def name(self, word):
        """A container name of this test, unique on the machine; the container is removed at the end."""
        name = f"e2e-{RUN_ID}-{next(_numbers)}-{word}"
        if not self._containers:
            self.addCleanup(lambda: self.engine.remove(*self._containers))
        self._containers.append(name)
        return name

    def notail(self, *args, **keywords):
        """notail --stdout=json --stats on this process' containers, killed at the test's end."""
        words = ["--stdout=json", "--stats", "--docker", self.engine.host, "--container", f"e2e-{RUN_ID}-*"]
        one = Notail(*words, *args, **keywords)
        self.addCleanup(one.kill)
        return one

    def plain_notail(self, *args, **keywords):
        """notail with these arguments only, killed at the test's end."""
        one = Notail(*args, **keywords)
        self.addCleanup(one.kill)
        return one

    def assert_lines(self, got, expected, message=""):
        """Equal lists of lines; says only where they part."""
        difference = first_difference(list(got), list(expected))
        if difference:
            self.fail(f"{message}: {difference}" if message else difference)

    def assert_as_recorded(self, notail, name, stream=None, timeout=DEADLINE):
        """The lines of a container that ended are docker's own record, byte for byte, in its order, once."""
        record = self.engine.record(name)
        for one in (stream,) if stream else ("stdout", "stderr"):
            expected = record[one]
            try:
                wait_for(lambda: len(notail.lines(name, one)) >= len(expected), timeout)
            except AssertionError:
                pass  # the comparison says more
            self.assert_lines(notail.lines(name, one), expected, f"{name} {one}")


_numbers = itertools.count(1)
shared = Shared()
atexit.register(shared.close)
