# SPDX-License-Identifier: Apache-2.0
"""Timed figures of notail with a real dockerd: printed, never judged.

Each run has four containers that write lines of 200 bytes, at a fixed rate or as fast as they can, with
the log driver none or json-file, without notail, with `--stdout=json` into a consumer, or with `--loki`
into a receiver that only stores. The writers begin together, when everything else is at rest, and the
containers stay until the counts are read, so that a shim's time is not lost with it.

CPU is in seconds per GB of log. `sum` is notail and docker (dockerd, containerd, shims) together,
`ratio` that against docker alone with the driver none at the same speed in this run. What the taps add
to those who write and read is in their own columns (compare with the rows without notail); `bpf` is the
programs' own time by the kernel's count, in a run of its own, since counting costs.
"""

import argparse
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e"), os.path.join(HERE, "../receiver")]

import engine as engine_module  # noqa: E402
import harness  # noqa: E402
import measure  # noqa: E402
import results  # noqa: E402

CONTAINERS = 4
LINE_BYTES = 200
DEADLINE = 120
QUIET_SECONDS = 2.5  # nothing more came for so long (a batch waits 1 s): all that comes is there
SETTLE_SECONDS = 1  # for docker to be through with what it read, where there is no notail to wait for
CREATE = 'cat /go/$0 >/dev/null; writer "$@"; exec sleep 1000000'

Run = collections.namedtuple("Run", "speed driver agent")
Row = collections.namedtuple("Row", "run seconds gb written arrived latency spent others agent bpf verdict losses")
Agent = collections.namedtuple("Agent", "rss ring switches")


class Sink:
    """Where notail's output goes. A process of its own, so that its time is told apart."""

    def __init__(self, kind, directory):
        self.kind = kind
        self.data = os.path.join(directory, "data")
        self.times = os.path.join(directory, "times")
        self.port = 0
        self.process = None

    def __enter__(self):
        if self.kind == "loki":
            program = [os.path.join(HERE, "../receiver/loki_receiver.py"), "--load", "--store", self.data]
        else:
            program = [os.path.join(HERE, "consumer.py"), self.data, self.times]
        self.process = subprocess.Popen(["/usr/bin/python3", *program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE if self.kind == "loki" else subprocess.DEVNULL)
        if self.kind == "loki":
            self.port = int(self.process.stdout.readline().split()[1])
        return self

    def __exit__(self, *_):
        self.close()
        for path in (self.data, self.times):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def options(self):
        return ["--loki", f"http://127.0.0.1:{self.port}"] if self.kind == "loki" else ["--stdout=json"]

    def size(self):
        try:
            return os.path.getsize(self.data)
        except OSError:
            return 0

    def read(self):
        return results.read_bodies(self.data) if self.kind == "loki" else results.read_json(self.data, self.times)


class Bench:
    def __init__(self, args, engine, directory):
        self.args = args
        self.engine = engine
        self.directory = directory
        self.go = os.path.join(directory, "go")
        os.mkdir(self.go)
        self.prefix = f"bench-{harness.RUN_ID}-"
        self.number = 0
        self.daemons = [engine.process.pid, *measure.children(engine.process.pid)]

    # The parts of a run.

    @contextlib.contextmanager
    def notail(self, kind):
        """(Sink, harness.Notail), or (None, None) for no agent."""
        if kind == "without":
            yield None, None
            return
        with Sink(kind, self.directory) as sink:
            notail = harness.Notail(*sink.options(), "--docker", self.engine.host, "--container", self.prefix + "*",
                                    "--stats", stdout=sink.process.stdin if kind == "stdout" else None)
            try:
                yield sink, notail
            finally:
                if notail.process.poll() is None:
                    notail.stop(DEADLINE)
                notail.kill()

    @contextlib.contextmanager
    def containers(self, count, driver, words, options=()):
        """Starts containers that wait for begin(); [(FIFO, pid of init, pid of its shim)]. `options`: docker run's."""
        names, started = [], []
        try:
            for _ in range(count):
                self.number += 1
                name = f"{self.prefix}{self.number}"
                names.append(name)
                fifo = os.path.join(self.go, name)
                os.mkfifo(fifo)
                self.engine.start("busybox", "sh", "-c", CREATE, name, *words, name=name, driver=driver,
                                  options=["-v", f"{self.go}:/go", *options])
                pid = self.engine.inspect(name)["State"]["Pid"]
                started.append((fifo, pid, measure.parent(pid)))
            yield started
        finally:
            self.engine.remove(*names)

    def groups(self, started, sink, notail):
        reader = lambda function, pid: lambda: function(pid)
        groups = {
            "writers": [reader(measure.container_cpu_ns, pid) for _, pid, _ in started],
            "docker": [reader(measure.cpu_ns, pid) for pid in self.daemons + [shim for _, _, shim in started]],
            "bench": [reader(measure.cpu_ns, os.getpid())],
        }
        if notail:
            groups["notail"] = [reader(measure.cpu_ns, notail.pid)]
            groups["bench"].append(reader(measure.cpu_ns, sink.process.pid))
        return groups

    def words(self, speed):
        words = ["--size", str(LINE_BYTES), "--stamp"]
        if speed == "full":
            return words + ["--lines", str(self.args.lines // CONTAINERS)]
        rate = self.args.rate // CONTAINERS
        burst = ["--burst", str(self.args.burst)] if self.args.burst else []
        return words + ["--rate", str(rate), *burst, "--lines", str(rate * self.args.seconds)]

    @staticmethod
    def begin(started):
        """Lets the writers go: each waits for the other end of its FIFO."""
        descriptors = []
        for fifo, _, _ in started:
            descriptors.extend(harness.wait_for(lambda fifo=fifo: open_fifo(fifo), what=f"{fifo} has no reader"))
        for descriptor in descriptors:
            os.close(descriptor)

    def finish(self, started, sink, notail, sample):
        """Waits until the writers are through and nothing more arrives: (notail's voluntary switches when the
        writers were through, the time then, the time the last byte came)."""
        deadline = time.monotonic() + DEADLINE + self.args.seconds
        while not all(measure.comm(pid) == "sleep" for _, pid, _ in started):
            sample()
            if time.monotonic() > deadline:
                raise RuntimeError("the writers do not come to an end")
            time.sleep(0.1)
        switches = measure.voluntary_switches(notail.pid) if notail else 0
        size, through = -1, time.monotonic()
        changed = through
        while time.monotonic() < min(deadline, changed + (QUIET_SECONDS if sink else SETTLE_SECONDS)):
            sample()
            if notail and notail.process.poll() is not None:
                raise RuntimeError(f"notail ended: {notail.stderr()[-2000:]}")
            if sink and sink.size() != size:
                size, changed = sink.size(), time.monotonic()
            time.sleep(0.1)
        return switches, through, changed

    def run(self, run, bpf=False):
        """One run; its Row."""
        with self.notail(run.agent) as (sink, notail), \
                self.containers(CONTAINERS, run.driver, self.words(run.speed)) as started:
            peak = {"rss": 0, "ring": 0}

            def sample():
                if notail:
                    rss, ring = measure.memory(notail.pid)
                    if rss - ring >= peak["rss"] - peak["ring"]:
                        peak.update(rss=rss, ring=ring)

            sample()
            programs = measure.bpf_programs(notail.pid) if bpf else {}
            switches = measure.voluntary_switches(notail.pid) if notail else 0
            cost = measure.Cost(self.groups(started, sink, notail))
            self.begin(started)
            begin = time.monotonic()
            more_switches, through, last = self.finish(started, sink, notail, sample)
            spent, _, others = cost.take()
            agent = notail and Agent(peak["rss"], peak["ring"], (more_switches - switches) / (through - begin))
            bpf_ns = bpf and sum(now[0] - programs.get(number, (0,))[0]
                                 for number, now in measure.bpf_programs(notail.pid).items())
            if notail:
                notail.stop(DEADLINE)
                sink.close()
            return self.row(run, last - begin, spent, others, agent, bpf_ns, sink, losses(notail))

    def row(self, run, seconds, spent, others, agent, bpf_ns, sink, lost):
        each = int(self.words(run.speed)[-1])
        written = each * CONTAINERS
        arrived = sink.read() if sink else None
        verdict = results.judge_bodies(sink.data) if sink and run.agent == "loki" and written <= 500000 else None
        return Row(run, seconds, written * LINE_BYTES / 1e9, written, arrived,
                   arrived.percentiles_ms() if arrived else None, spent, others, agent, bpf_ns, verdict, lost)

    def idle(self, kind):
        """(CPU in ns, seconds, Agent) of notail beside silent containers."""
        with self.notail(kind) as (sink, notail), \
                self.containers(self.args.silent, "json-file", ["--lines", "0"]) as started:
            switches = measure.voluntary_switches(notail.pid)
            cost = measure.Cost(self.groups(started, sink, notail))
            time.sleep(self.args.idle_seconds)
            spent, seconds, _ = cost.take()
            rss, ring = measure.memory(notail.pid)
            return spent["notail"], seconds, Agent(
                rss, ring, (measure.voluntary_switches(notail.pid) - switches) / seconds)


def losses(notail):
    """What notail itself counted as lost or wrong, as text."""
    found = re.findall(r"^notail_((?:lost|missing|dropped|corrupt|gap|recursion)\S*) ([1-9]\d*)$",
                       notail.stderr() if notail else "", re.M)
    return ", ".join(f"{name} {count}" for name, count in found)


def open_fifo(path):
    """[descriptor], or nothing while nobody reads."""
    try:
        return [os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)]
    except OSError:
        return []


def table(title, head, rows):
    """Aligned columns; the first three are words, the others numbers."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        print("  " + "  ".join(str(cell).ljust(width) if i < 3 else str(cell).rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
    sys.stdout.flush()


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def cpu_cells(row, base):
    per_gb = lambda name: row.spent[name] / 1e9 / row.gb if name in row.spent else None
    total = per_gb("docker") + (per_gb("notail") or 0)
    return [number(per_gb("notail")), number(per_gb("docker")), number(total),
            number(total / base, 2) if base else "-", number(per_gb("writers")), number(per_gb("bench")),
            number(row.seconds), number(row.others * 100)]


def print_runs(rows):
    base = {}
    for row in rows:
        if row.run.driver == "none" and row.run.agent == "without":
            base[row.run.speed] = row.spent["docker"] / 1e9 / row.gb
    agents = {"without": "without", "stdout": "--stdout=json", "loki": "--loki"}
    names = lambda row: [row.run.speed, row.run.driver, agents[row.run.agent]]
    table("CPU s per GB of log", ["speed", "driver", "notail", "notail", "docker", "sum", "ratio", "writers",
                                  "receiver", "wall s", "others %"],
          [names(row) + cpu_cells(row, base.get(row.run.speed)) for row in rows])
    cells = []
    for row in rows:
        if row.arrived is None:
            continue
        p50, p99, most = row.latency or (None, None, None)
        cells.append(names(row) + [
            row.written, row.arrived.lines, row.written - row.arrived.lines, row.arrived.duplicates,
            number(p50), number(p99), number(most), number(row.agent.rss / 1e6),
            number((row.agent.rss - row.agent.ring) / 1e6), number(row.agent.switches, 0)])
    if cells:
        table("lines, latency from write to receipt in ms, memory in MB",
              ["speed", "driver", "notail", "written", "received", "missing", "twice", "p50", "p99", "max", "RSS",
               "beside ring", "wake-ups/s"], cells)
    for row in rows:
        if row.losses:
            print(f"  {' '.join(names(row))}: by notail's own count: {row.losses}")
        if row.verdict:
            print(f"  {' '.join(names(row))}: judged afterwards as Loki would have: "
                  + ", ".join(f"{count} x {status}" for status, count in sorted(row.verdict.items())))


def print_bpf(row):
    print(f"\nBPF programs, {row.run.speed} {row.run.driver}: {row.bpf / 1e9 / row.gb:.1f} CPU s per GB, "
          f"{row.bpf / row.written:.0f} ns per line (part of the writers' and docker's time)", flush=True)


def plan(args):
    agents = [a for a in ("without", "stdout", "loki") if a in args.agents]
    return [Run(speed, driver, agent) for speed in args.speeds for driver in args.drivers for agent in agents]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")
    parser.add_argument("--quick", action="store_true", help="driver none only, short: about a minute")
    parser.add_argument("--without", action="store_true", help="without notail only")
    parser.add_argument("--speeds", type=words, default=["rate", "full"], metavar="rate,full")
    parser.add_argument("--drivers", type=words, default=["none", "json-file"], metavar="none,json-file")
    parser.add_argument("--agents", type=words, default=["without", "stdout", "loki"],
                        metavar="without,stdout,loki")
    parser.add_argument("--rate", type=int, default=20000, help="lines a second, all containers together")
    parser.add_argument("--burst", type=int, default=50, help="lines that a writer writes in a row, at a rate; 0: one")
    parser.add_argument("--seconds", type=int, default=10, help="of a run with a rate")
    parser.add_argument("--lines", type=int, default=2000000, help="of a run at full speed")
    parser.add_argument("--silent", type=int, default=20, help="containers of the idle run; 0: no such run")
    parser.add_argument("--idle-seconds", type=int, default=10)
    parser.add_argument("--no-bpf", action="store_true", help="no run that counts the BPF programs' time")
    if "--quick" in sys.argv[1:]:
        parser.set_defaults(drivers=["none"], seconds=4, lines=400000, silent=5)
    args = parser.parse_args()
    if args.without:
        args.agents, args.silent, args.no_bpf = ["without"], 0, True
    return args


def header(args):
    model = next((line.split(":", 1)[1].strip() for line in measure.read("/proc/cpuinfo").splitlines()
                  if line.startswith("model name")), "?")
    print(f"{os.uname().release} {os.uname().machine}, {os.cpu_count()} x {model}, load "
          f"{measure.read('/proc/loadavg').split()[0]}\n{CONTAINERS} containers, lines of {LINE_BYTES} B; rate: "
          f"{args.rate} lines/s in all for {args.seconds} s, each writer {args.burst or 1} at a time; full: "
          f"{args.lines} lines", flush=True)


def run_all(bench, args):
    rows = []
    for run in plan(args):
        print(f"  running {run.speed} {run.driver} {run.agent}", file=sys.stderr, flush=True)
        rows.append(bench.run(run))
    print_runs(rows)
    if not args.no_bpf:
        with measure.BpfStats():
            for speed in args.speeds:
                print_bpf(bench.run(Run(speed, args.drivers[0], "stdout"), bpf=True))
    idle = []
    for kind in ("stdout", "loki") if args.silent else ():
        if kind in args.agents:
            cpu_ns, seconds, agent = bench.idle(kind)
            idle.append([kind, "", "", number(cpu_ns / 1e6 * 10 / seconds), number(agent.switches),
                         number(agent.rss / 1e6), number((agent.rss - agent.ring) / 1e6)])
    if idle:
        table(f"idle beside {args.silent} silent containers",
              ["notail", "", "", "CPU ms in 10 s", "wake-ups/s", "RSS", "beside ring"], idle)


def main():
    args = parse_arguments()
    why = harness.why_no_engine()
    if why:
        print(f"bench: cannot run: {why}", file=sys.stderr)
        return 1
    if not args.without and not os.access(harness.NOTAIL, os.X_OK):
        print(f"bench: {harness.NOTAIL} is not built; --without measures docker alone", file=sys.stderr)
        return 1
    if not harness.program("writer"):
        print("bench: the writer is not built: make test-programs", file=sys.stderr)
        return 1
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda number, _: sys.exit(128 + number))  # so that all is put back
    begin = time.monotonic()
    directory = tempfile.mkdtemp(prefix="notail-bench-")
    try:
        header(args)
        engine_module.sweep()
        with engine_module.Dockerd(harness.programs()) as engine:
            run_all(Bench(args, engine, directory), args)
    finally:
        harness.shared.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"\n{time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
