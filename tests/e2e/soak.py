#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random writers for SOAK_MINUTES (30) in SOAK_CONTAINERS (20) containers at a time, against docker's own record.

    tests/e2e/soak.py [SEED]

Each container runs writer.c with several threads, a sample of all ways of ways.c, or both at once; it ends by
itself, is stopped, killed or restarted. When it has ended, its lines are compared with the record and forgotten.
At the end no stream lost anything, each entry of notail's maps belongs to something that lives, and its memory
is what it was when a quarter of the time had passed.
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
# What the runtime never got is not in the record, and notail says so: another process of the container read it,
# or the kernel dropped the rest of a packet that did not fit into a read.
NEVER_READ = ("foreign_reader", "pipe_packets")
GAP = re.compile(rb"notail: \d+ bytes lost here: missing")
MAPS = ("nt_streams", "nt_cgroups", "nt_readers", "nt_entries")
GROWTH_KB = 8192


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


class Soak:
    def __init__(self, seconds, containers, seed):
        self.seconds, self.containers = seconds, containers
        self.random = random.Random(seed)
        self.base = f"e2e-{harness.RUN_ID}-soak{harness.attempt()}"
        self.engine = harness.shared.engine()
        out = subprocess.run([harness.program("ways"), "--list"], stdout=subprocess.PIPE, check=True, text=True)
        self.ways = [line.split() for line in out.stdout.splitlines()]
        self.differences, self.number, self.lines_compared, self.memory = [], 0, 0, []

    def writer(self, rng):
        """One writer: paced, or as fast as it goes."""
        words = ["writer", "--threads", rng.randint(1, 6), "--seed", rng.randint(1, 10**6),
                 "--max", rng.choice((80, 300, 5000, 20000)), "--stderr-every", rng.choice((0, 2, 7)),
                 "--seconds", rng.randint(1, 20)]
        words += ["--rate", rng.choice((20, 200))] if rng.random() < 0.8 else ["--lines", rng.randint(10, 500)]
        words += [word for word in ("--random", "--half") if rng.random() < 0.4]
        return " ".join(map(str, words))

    def program(self, rng):
        """(shell command, docker's options)."""
        tty = rng.random() < 0.1
        flags = ("tty",) if tty else ("counted", "moved", "taken")
        names = [name for name, flag in self.ways if flag in flags]
        ways = "ways " + " ".join(rng.sample(names, rng.randint(3, 10)))
        parts = [ways] if tty else rng.choice(([ways], [self.writer(rng)], [ways, self.writer(rng), self.writer(rng)]))
        options = [*OPTIONS, *(["-t"] if tty else []), *(["--init"] if rng.random() < 0.2 else [])]
        return " & ".join(parts) + (" & wait" if len(parts) > 1 else ""), options

    def one(self, number, seed):
        """A container from its start to the comparison."""
        rng = random.Random(seed)
        name = f"{self.base}-{number}"
        command, options = self.program(rng)
        self.engine.start("busybox", "sh", "-c", command, name=name, options=options)
        end = rng.choice(("itself", "itself", "itself", "stop", "kill", "restart"))
        if end != "itself":
            time.sleep(rng.random() * 5)
            self.engine.docker(end, *([] if end == "kill" else ["-t", "1"]), name, check=False)
        self.engine.wait(name)
        self.compare(name, f"{end}, {' '.join(options)}: {command}", any(way in command.split() for way in NEVER_READ))
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
            self.lines_compared += len(expected)

    def run(self):
        self.lines = Lines()
        words = ("--stdout=json", "--stats", "--docker", self.engine.host, "--container", f"{self.base}-*")
        self.notail = harness.Notail(*words, stdout=self.lines.file)
        deadline = time.monotonic() + self.seconds
        pending = set()
        with concurrent.futures.ThreadPoolExecutor(self.containers) as pool:
            while pending or time.monotonic() < deadline:
                while len(pending) < self.containers and time.monotonic() < deadline:
                    self.number += 1
                    pending.add(pool.submit(self.one, self.number, self.random.random()))
                done, pending = concurrent.futures.wait(pending, 5, concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
                self.memory.append((time.monotonic(), anonymous_kb(self.notail.pid)))
        return self

    def leftovers(self):
        """Map entries that belong to nothing that lives, by map; those of other containers here may live."""
        living = {os.stat(path).st_ino for path, _, _ in os.walk("/sys/fs/cgroup")}
        left = {}
        for name, one in maps_of(self.notail.pid).items():
            entries = [e.get("formatted", e) for e in bpftool("map", "dump", "id", one)]
            if name == "nt_cgroups":
                entries = [e for e in entries if e["key"] not in living]
            elif name == "nt_streams":
                entries = [e for e in entries if not e["value"]["denied"] and e["value"]["cgroup_id"] not in living]
            elif name == "nt_readers":
                entries = [e for e in entries if not os.path.exists(f"/proc/{e['key']}")]
            left[name] = len(entries)
        return left

    def growth_kb(self):
        """From the time when a quarter had passed to the end: the least of the samples' last tenth counts."""
        tenth = max(1, len(self.memory) // 10)
        quarter = len(self.memory) // 4
        before = max(kb for _, kb in self.memory[quarter : quarter + tenth])
        return min(kb for _, kb in self.memory[-tenth:]) - before

    def problems(self):
        """What is wrong, a text each; ends notail."""
        growth = self.growth_kb()
        print(f"{self.number} containers, {self.lines_compared} lines, memory {self.memory[0][1]} kB at the start, "
              f"{self.memory[-1][1]} kB at the end, grown by {growth} kB since the first quarter", flush=True)
        found = list(self.differences)
        found += [f"{key}: the time {ts} does not increase" for key, ts in self.lines.disorder[:5]]
        try:
            harness.wait_for(lambda: not any(self.leftovers().values()), interval=1)
        except AssertionError:
            found.append(f"map entries without an owner: {self.leftovers()}")
        print(f"map entries without an owner: {self.leftovers()}", flush=True)
        if set(self.leftovers()) != set(MAPS):
            found.append(f"not all of {MAPS} could be looked at")
        if growth > GROWTH_KB:
            found.append(f"memory grew by {growth} kB")
        status = self.notail.stop()
        if status:
            found.append(f"notail ended with {status}")
        found += [str(c) for c in self.notail.streams() if c["container"].startswith(self.base) and c["lost"]]
        return found


def why_not():
    gone = harness.why_no_engine()
    if not gone and not shutil.which("bpftool", path=engine_module.search_path()):
        gone = "not installed: bpftool"
    return gone


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
