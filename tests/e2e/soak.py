#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random writers for SOAK_MINUTES (30) in SOAK_CONTAINERS (20) containers at a time, against docker's own record.

    tests/e2e/soak.py [SEED]

Each container runs writer.c with several threads, a sample of all ways of ways.c and ways32.c, or both at once, some
with sessions of docker exec beside; it is paused, ends by itself, is stopped, killed, restarted or started again. When
it has ended, its lines are compared with the record and forgotten; of a difference both sides are kept in
$BUILD/tests/soak. At the end no stream lost anything, both taps counted the same of each but for what a way is known
for, each entry of notail's maps belongs to something that lives, and its memory is what it was when a quarter of the
time had passed.
"""

import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import engine as engine_module  # noqa: E402
import harness  # noqa: E402

OPTIONS = ("--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE")
# Kinds of containers; a way may need what another kind does not have (it is then "impossible", and that is recorded).
KINDS = ((), (), (), ("--init",), ("--read-only", "--tmpfs", "/tmp"), ("--user", "65534:65534"), ("--cgroupns=host",),
         ("--pid=host",), ("-i",))
# Besides the ways with the flag `taken`: the kernel drops the rest of a packet that does not fit into a read. It does
# where another process' bytes lie before the packet: the read goes on with what room is left.
PACKETS = "pipe_packets"
# Two programs that write at once join their long lines to one that notail would cut; docker's record has it whole.
MAX_LINE = "16MiB"
GAP = re.compile(rb"notail: \d+ bytes lost here: missing")
MAPS = ("nt_streams", "nt_cgroups", "nt_readers", "nt_entries")
GROWTH_KB = 8192
ENDS = ("itself", "itself", "itself", "stop", "kill", "restart", "restart", "start")
KEPT = os.path.join(harness.BUILD, "tests/soak")


def anonymous_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^RssAnon:\s+(\d+)", file.read(), re.M).group(1))


def bpftool(*args):
    path = shutil.which("bpftool", path=engine_module.search_path())
    return json.loads(subprocess.run([path, "-j", *args], stdout=subprocess.PIPE, check=True).stdout)


def maps_of(pid):
    """Names and ids of a process' BPF maps."""
    ids = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
                ids.update(re.findall(r"^map_id:\s+(\d+)", file.read(), re.M))
        except OSError:
            continue
    found = {bpftool("map", "show", "id", one)["name"]: one for one in ids}
    return {name: found[name] for name in MAPS if name in found}


def leftovers(pid):
    """Entries of notail's maps that belong to nothing that lives, by map; those of other containers here may live."""
    living = {os.stat(path).st_ino for path, _, _ in os.walk("/sys/fs/cgroup")}
    left = {}
    for name, one in maps_of(pid).items():
        entries = [e.get("formatted", e) for e in bpftool("map", "dump", "id", one)]
        # One that is deleted meanwhile has an error for a value.
        entries = [e for e in entries if "error" not in (e["value"] if isinstance(e["value"], dict) else {})]
        if name == "nt_cgroups":
            entries = [e for e in entries if e["key"] not in living]
        elif name == "nt_streams":
            entries = [e for e in entries if not e["value"]["denied"] and e["value"]["cgroup_id"] not in living]
        elif name == "nt_readers":
            entries = [e for e in entries if not os.path.exists(f"/proc/{e['key']}")]
        left[name] = len(entries)
    return left


class Lines:
    """Reads notail's JSON from a file, so that a slow reader holds nobody up; keeps the lines of containers that
    are still to be compared, and gives the file's blocks back."""

    def __init__(self):
        self.path = harness.shared.path("soak")
        self.file = open(self.path, "wb")
        self.lock = threading.Lock()
        self.by_name = {}
        self.times = {}
        self.disorder = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        half, freed = b"", 0
        with open(self.path, "rb") as file:
            while True:
                data = file.read(1 << 20)
                if not data:
                    time.sleep(0.05)
                    continue
                *lines, half = (half + data).split(b"\n")
                for raw in lines:
                    self.add(harness.parse_entry(raw))
                if file.tell() - freed > 1 << 26:
                    freed = file.tell() & ~4095
                    subprocess.run(["fallocate", "-p", "-o", "0", "-l", str(freed), self.path], check=True)

    def add(self, entry):
        key = (entry.labels["container"], entry.stream)
        with self.lock:
            if entry.ts <= self.times.get(key, ""):
                self.disorder.append((key, entry.ts))
            self.times[key] = entry.ts
            self.by_name.setdefault(key, []).append(entry.line)

    def count(self, name, stream):
        with self.lock:
            return len(self.by_name.get((name, stream), ()))

    def of(self, name, stream):
        with self.lock:
            return list(self.by_name.get((name, stream), []))

    def forget(self, name):
        with self.lock:
            for stream in ("stdout", "stderr"):
                self.by_name.pop((name, stream), None)
                self.times.pop((name, stream), None)


class Deck:
    """Draws each of the things once before any of them again."""

    def __init__(self, things, rng):
        self.things, self.rng, self.left, self.lock = things, rng, [], threading.Lock()
        self.drawn = set()

    def draw(self, number):
        """So many of them, all different."""
        found = []
        with self.lock:
            while len(found) < min(number, len(self.things)):
                if not self.left:
                    self.left = self.rng.sample(self.things, len(self.things))
                one = self.left.pop()
                if one not in found:
                    found.append(one)
            self.drawn.update(found)
        return found


class Soak:
    def __init__(self, seconds, containers, seed):
        self.seconds, self.containers = seconds, containers
        self.random = random.Random(seed)
        self.base = f"e2e-{harness.RUN_ID}-soak{harness.attempt()}"
        self.engine = harness.shared.engine()
        flags = {"pipe": [], "tty": []}
        self.never_read = {PACKETS}  # written is more than the runtime gets, and notail says so
        self.not_counted = set()  # by the write tap
        for program in ("ways", "ways32"):
            out = subprocess.run([harness.program(program), "--list"], stdout=subprocess.PIPE, check=True, text=True)
            for name, flag in map(str.split, out.stdout.splitlines()):
                if flag in ("socket", "answered"):
                    continue
                if flag == "taken":
                    self.never_read.add(name)
                if flag == "moved":
                    self.not_counted.add(name)
                flags["tty" if flag == "tty" else "pipe"].append((program, name))
        self.decks = {kind: Deck(things, self.random) for kind, things in flags.items()}
        self.differences, self.number, self.samples = [], 0, []
        self.lines_compared = self.bytes_compared = self.sessions = 0
        self.actions, self.words = {}, {}

    def writer(self, rng):
        """One writer: paced, or as fast as it goes."""
        words = ["writer", "--threads", rng.randint(1, 6), "--seed", rng.randint(1, 10**6),
                 "--max", rng.choice((80, 300, 5000, 20000)), "--stderr-every", rng.choice((0, 2, 7)),
                 "--seconds", rng.randint(1, 20)]
        words += ["--rate", rng.choice((20, 200))] if rng.random() < 0.8 else ["--lines", rng.randint(10, 500)]
        words += [word for word in ("--random", "--half") if rng.random() < 0.4]
        return " ".join(map(str, words))

    def some_ways(self, rng, kind):
        """One process, or a few at once, that go through ways of both programs."""
        by_program = {}
        for program, name in self.decks[kind].draw(rng.randint(3, 12)):
            by_program.setdefault(program, []).append(name)
        return [" ".join((program, *names)) for program, names in by_program.items()]

    def program(self, rng):
        """(shell command, docker's options)."""
        tty = rng.random() < 0.12
        kind = rng.choice(KINDS)
        ways = self.some_ways(rng, "tty" if tty else "pipe")
        if "--pid=host" in kind:
            ways = [text for text in ways if "proc_1_fd_1" not in text.split()]  # that is the host's there
        parts = rng.choice((ways, [self.writer(rng)], [*ways, self.writer(rng)], [*ways, self.writer(rng), self.writer(rng)]))
        if tty and rng.random() < 0.5:
            parts = ways
        parts = parts or [self.writer(rng)]
        # One after the other on a terminal: it stops what is in the background.
        together = "; ".join(parts) if tty else " & ".join(parts) + (" & wait" if len(parts) > 1 else "")
        return together, [*OPTIONS, *(["-t"] if tty else []), *kind]

    def count(self, action):
        self.actions[action] = self.actions.get(action, 0) + 1

    def session(self, rng, name):
        """docker exec: its own output is not in the record, what it writes into the container's is. Not beside a
        pause: a pause while docker starts a session is a deadlock of docker's own."""
        into = rng.choice(("", "", " >/proc/1/fd/1", " 2>/proc/1/fd/2"))
        text = rng.choice((self.writer(rng), "ways write writev sendfile dup", "echo a session; printf 'half'"))
        options = ["-t"] if rng.random() < 0.3 else []
        self.engine.docker("exec", *options, name, "sh", "-c", text + into, check=False, timeout=240)
        self.count("exec")

    def disturb(self, rng, name, session):
        """What happens to it while it runs."""
        for _ in range(0 if session else rng.choice((0, 0, 1, 2))):
            time.sleep(rng.random() * 3)
            self.engine.docker("pause", name, check=False)
            time.sleep(rng.random())
            self.engine.docker("unpause", name, check=False)
            self.count("pause")
        end = rng.choice(ENDS)
        self.count(end)
        if end == "itself":
            return end
        for _ in range(rng.randint(1, 3) if end == "restart" else 1):
            time.sleep(rng.random() * 5)
            verb = "kill" if end == "start" else end
            words = [] if verb == "kill" else ["-t", rng.choice(("0", "1"))]
            self.engine.docker(verb, *words, name, check=False)
        if end == "start":
            self.engine.wait(name)
            self.engine.docker("start", name)
            time.sleep(rng.random() * 5)
            self.engine.docker("kill", name, check=False)
        return end

    def one(self, number, seed):
        """A container from its start to the comparison."""
        rng = random.Random(seed)
        name = f"{self.base}-{number}"
        command, options = self.program(rng)
        self.engine.start("busybox", "sh", "-c", command, name=name, options=options)
        session = None
        if rng.random() < 0.25 and "--pid=host" not in options:
            session = threading.Thread(target=self.session, args=(random.Random(seed + 1), name))
            session.start()
        end = self.disturb(rng, name, session)
        self.engine.wait(name)
        if session:
            session.join()
        self.words[name] = set(command.split())
        self.compare(name, f"{end}, {' '.join(options)}: {command}", bool(self.never_read & self.words[name]))
        self.engine.remove(name)
        self.lines.forget(name)

    def compare(self, name, what, taken):
        record = self.engine.record(name)
        for stream, expected in record.items():

            def got():
                lines = self.lines.of(name, stream)
                return [line for line in lines if not GAP.fullmatch(line)] if taken else lines

            enough = lambda: self.lines.count(name, stream) >= len(expected) and len(got()) >= len(expected)
            try:
                harness.wait_for(enough, interval=0.2)
            except AssertionError:
                pass  # the comparison says more
            difference = harness.first_difference(got(), expected)
            if difference:
                self.differences.append(f"{name} {stream} ({what}): {difference}")
                self.keep(name, stream, what, got(), expected)
            self.lines_compared += len(expected)
            self.bytes_compared += sum(map(len, expected)) + len(expected)

    def keep(self, name, stream, what, got, expected):
        """Both sides of a difference, and docker's raw record, to look at."""
        directory = os.path.join(KEPT, f"{name}-{stream}")
        os.makedirs(directory, exist_ok=True)
        for file_name, lines in (("what", [what.encode()]), ("captured", got), ("recorded", expected)):
            with open(os.path.join(directory, file_name), "wb") as file:
                file.write(b"\n".join(lines) + b"\n")
        logs = os.path.join(self.engine.base, "data/containers", self.engine.inspect(name)["Id"], "local-logs")
        shutil.copytree(logs, os.path.join(directory, "local-logs"), dirs_exist_ok=True)

    def sample(self, began):
        """(seconds, anonymous memory in kB, entries by map)."""
        entries = {name: len(bpftool("map", "dump", "id", one)) for name, one in self.maps.items()}
        self.samples.append((time.monotonic() - began, anonymous_kb(self.notail.pid), entries))

    def run(self):
        shutil.rmtree(KEPT, ignore_errors=True)
        self.lines = Lines()
        words = ("--stdout=json", "--stats", "--max-line-size", MAX_LINE, "--docker", self.engine.host, "--container",
                 f"{self.base}-*")
        self.notail = harness.Notail(*words, stdout=self.lines.file)
        self.maps = maps_of(self.notail.pid)
        began = time.monotonic()
        deadline = began + self.seconds
        self.sample(began)
        pending = set()
        with concurrent.futures.ThreadPoolExecutor(self.containers) as pool:
            while pending or time.monotonic() < deadline:
                while len(pending) < self.containers and time.monotonic() < deadline:
                    self.number += 1
                    pending.add(pool.submit(self.one, self.number, self.random.random()))
                done, pending = concurrent.futures.wait(pending, 5, concurrent.futures.FIRST_COMPLETED)
                self.differences += [f"{error}" for error in map(concurrent.futures.Future.exception, done) if error]
                self.sample(began)
        return self

    def growth_kb(self):
        """From the time when a quarter had passed to the end: the least of the samples' last tenth counts."""
        tenth = max(1, len(self.samples) // 10)
        quarter = len(self.samples) // 4
        before = max(kb for _, kb, _ in self.samples[quarter : quarter + tenth])
        return min(kb for _, kb, _ in self.samples[-tenth:]) - before

    def report(self):
        """The figures of the run."""
        print(f"{self.number} containers, {self.lines_compared} lines, {self.bytes_compared} bytes, "
              f"{len(self.differences)} differences", flush=True)
        print("actions: " + ", ".join(f"{name} {count}" for name, count in sorted(self.actions.items())))
        for kind, deck in self.decks.items():
            print(f"ways with a {kind}: {len(deck.drawn)} of {len(deck.things)}")
        print("minutes  memory kB  " + "  ".join(MAPS))
        for at in sorted({0, len(self.samples) // 4, len(self.samples) // 2, 3 * len(self.samples) // 4, len(self.samples) - 1}):
            seconds, kb, entries = self.samples[at]
            print(f"{seconds / 60:7.1f}  {kb:9}  " + "  ".join(f"{entries.get(name, -1):{len(name)}}" for name in MAPS))
        print(f"memory has grown by {self.growth_kb()} kB since the first quarter", flush=True)

    def counts(self):
        """What the taps counted of our streams, after notail's end; what is wrong with it."""
        ours = [c for c in self.notail.streams() if c["container"].startswith(self.base)]
        sums = {key: sum(c[key] for c in ours if isinstance(c[key], int))
                for key in ("written", "copied", "lost", "missing", "uncounted")}
        print(f"{len(ours)} streams: " + ", ".join(f"{key} {value}" for key, value in sums.items()), flush=True)
        return [str(c) for c in ours if c["lost"] or c["open"] or self.unexplained(c)]

    def unexplained(self, counts):
        """The two taps differ, and no way of the container is known for it."""
        words = self.words.get(counts["container"], set())
        known = {"missing": self.never_read, "uncounted": self.not_counted}
        return [key for key, ways in known.items() if counts[key] not in (0, "-") and not ways & words]

    def problems(self):
        """What is wrong, a text each; ends notail."""
        self.report()
        found = list(self.differences)
        found += [f"{key}: the time {ts} does not increase" for key, ts in self.lines.disorder[:5]]
        try:
            harness.wait_for(lambda: not any(leftovers(self.notail.pid).values()), interval=1)
        except AssertionError:
            found.append(f"map entries without an owner: {leftovers(self.notail.pid)}")
        print(f"map entries without an owner: {leftovers(self.notail.pid)}", flush=True)
        if set(leftovers(self.notail.pid)) != set(MAPS):
            found.append(f"not all of {MAPS} could be looked at")
        if self.growth_kb() > GROWTH_KB:
            found.append(f"memory grew by {self.growth_kb()} kB")
        status = self.notail.stop()
        if status:
            found.append(f"notail ended with {status}")
        return found + self.counts()


def why_no_bpftool():
    return "" if shutil.which("bpftool", path=engine_module.search_path()) else "not installed: bpftool"


def why_not():
    return harness.why_no_engine() or why_no_bpftool()


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    if why_not():
        print(f"SKIP soak: {why_not()}")
        return 0
    try:
        minutes = float(os.environ.get("SOAK_MINUTES", "30"))
        problems = Soak(minutes * 60, int(os.environ.get("SOAK_CONTAINERS", "20")), seed).run().problems()
    finally:
        harness.shared.close()
    for problem in problems:
        print(f"FAIL {problem}")
    print(f"soak: seed {seed}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
