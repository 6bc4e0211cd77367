# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: containers that write records which prove themselves, a notail that is killed and comes
back, a sink that answers as planned, a judge.

    class Some(base.TestCase):
        def test_x(self):
            sink = self.sink()
            daemon = self.daemon(sink)                      # its own spool, pins and configuration
            load = self.load(3, rate=1000, seconds=self.scale(10, 300))
            daemon.kill(); daemon.start()
            load.end()
            self.assert_delivered(load, sink)

NOTAIL_FAULTS=full gives the long forms.
"""

import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [path for path in (os.path.dirname(HERE), HERE) if path not in sys.path]

import harness  # noqa: E402
import judge as judge_module  # noqa: E402
import sink as sink_module  # noqa: E402

FULL = os.environ.get("NOTAIL_FAULTS") == "full"
SEED = int(os.environ.get("FAULT_SEED") or random.randrange(1 << 30))
BPFFS = "/sys/fs/bpf"


def blocks(wait):
    """Lines that are joined. Longer than any half line is open: a block that waits longer is sent as it is. And not
    much longer, for until then it holds the ring."""
    return [{"multiline": {"firstline": "^~", "max_wait_time": wait}}]


BLOCKS = blocks("5s")


def wait_for(*args, **keywords):
    return harness.wait_for(*args, **{"interval": 0.1, **keywords})


class Daemon:
    """One `notail run` that may be killed and started again. `changes` are dotted settings over those that each has."""

    def __init__(self, test, clients, name, changes, clock, prefix):
        self.test = test
        self.directory = harness.shared.path("daemon")
        os.mkdir(self.directory)
        self.spool = os.path.join(self.directory, "spool")
        self.pins = f"{BPFFS}/notail-{harness.RUN_ID}-{os.path.basename(self.directory)}"
        self.clock = os.path.join(self.directory, "clock") if clock else None
        self.prefix = list(prefix)
        self.notail = None
        self.runs = 0
        self.settings = {
            "clients": clients,
            "capture.containers": [name],
            "discovery.docker.host": test.engine.host,
            "spool.directory": self.spool,
            "server.listen": f"127.0.0.1:{free_port()}",
            "log.level": "info",
            **changes,
        }
        if clock:
            self.turn(0)

    @property
    def listen(self):
        return self.settings["server.listen"]

    def write(self):
        """The configuration, as JSON, which YAML is."""
        tree = tree_of(self.settings)
        path = os.path.join(self.directory, "notail.yaml")
        self.test.rewrite(path, json.dumps(tree, indent=1))
        return path

    def start(self, wait=True):
        environ = {}
        if self.clock:
            environ = {"LD_PRELOAD": harness.program("turned_clock.so"), "TURNED_CLOCK": self.clock}
        self.runs += 1
        self.notail = harness.Notail("--pins", self.pins, "-c", self.write(), "run", wait=wait, env=environ, prefix=self.prefix)
        return self

    def kill(self):
        self.notail.kill()

    def signal(self, signo):
        self.notail.process.send_signal(signo)

    def stop(self, timeout=60):
        return self.notail.stop(timeout)

    def turn(self, ns):
        """Its wall clock is so far ahead of the machine's."""
        # Not cut to nothing first: the daemon has it mapped.
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "wb") as file:
            file.write(struct.pack("q", ns))

    def metrics(self):
        """{name and labels: value} of /metrics; empty when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.listen}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {match[1]: float(match[2]) for match in re.finditer(r"^(notail_\S+(?:\{.*\})?) (\S+)$", text, re.M)}

    def sum(self, name, **labels):
        """The sum of a metric over its label sets that have these."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for key, value in self.metrics().items()
                   if key.partition("{")[0] == name and all(one in key for one in wanted))

    def dropped(self):
        """Lines that it counted as not delivered, by all clients."""
        return self.sum("notail_dropped_lines_total") + self.sum("notail_client_dropped_lines_total")

    def spool_bytes(self):
        """Bytes on the disk of all that lies in the spool."""
        total = 0
        for directory, _, names in os.walk(self.spool):
            for name in names:
                try:
                    total += os.stat(os.path.join(directory, name)).st_size
                except OSError:
                    pass
        return total

    def end(self):
        """Leaves nothing behind."""
        if self.notail:
            self.notail.kill()
        for directory, names, files in os.walk(self.pins, topdown=False):
            for one in files:
                os.unlink(os.path.join(directory, one))
            os.rmdir(directory)
        shutil.rmtree(self.directory, ignore_errors=True)


class Load:
    """Containers that write."""

    def __init__(self, test, directory):
        self.test = test
        self.directory = directory
        self.names = {}
        self.started = 0

    def add(self, words=(), driver="none", **options):
        """Starts one writer; its id. `options` are numbered's, `words` docker run's."""
        self.started += 1
        who = f"w{self.started}"
        name = self.test.name(who)
        self.names[who] = name
        options = {"seed": SEED % 100000 + self.started, **options}
        arguments = [word for key, value in options.items() if value is not False
                     for word in (f"--{key.replace('_', '-')}", *([] if value is True else [str(value)]))]
        self.test.engine.start("busybox", "numbered", "--id", who, "--report", f"/report/{who}", *arguments, name=name,
                               driver=driver, options=["-v", f"{self.directory}:/report", *words])
        return who

    def term(self, who):
        """SIGTERM: the writer ends after the record at hand. Returns when its container has ended."""
        if not os.path.exists(os.path.join(self.directory, who)):
            self.test.engine.docker("kill", "-s", "TERM", self.names[who], check=False)
        wait_for(lambda: not self.running(who), what=f"the end of {who}")

    def running(self, who):
        return self.test.engine.inspect(self.names[who])["State"]["Running"]

    def rename(self, who, word):
        name = self.test.name(word)
        self.test.engine.docker("rename", self.names[who], name)
        self.names[who] = name

    def end(self):
        """Every writer ends."""
        for who in self.names:
            self.term(who)
        return self

    def wait(self, timeout):
        """Waits until the writers are through with their --lines."""
        for who in self.names:
            wait_for(lambda who=who: os.path.exists(os.path.join(self.directory, who)), timeout, f"{who} to be through",
                     interval=0.3)
        return self

    def written(self):
        """{id: records}, of stdout and, where they are, of stderr."""
        found = {}
        for who in self.names:
            with open(os.path.join(self.directory, who), encoding="ascii") as file:
                counts = dict(line.split() for line in file)
            found[who] = int(counts["out"])
            if int(counts["err"]):
                found[f"{who}-err"] = int(counts["err"])
        return found


class TestCase(harness.TestCase):
    needs_programs = ("numbered", "turned_clock.so")

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        print(f"  FAULT_SEED={SEED}", flush=True)

    @staticmethod
    def scale(short, full):
        return full if FULL else short

    def sink(self, **keywords):
        sink = sink_module.Sink(harness.shared.path("bodies"), **keywords)
        self.addCleanup(os.unlink, sink.path)
        self.addCleanup(sink.close)
        return sink

    def daemon(self, *sinks, start=True, clock=False, client=None, prefix=(), **changes):
        """A notail that pushes to the sinks (or urls). `client`: settings of each client; `changes`: others, with __ for
        the dot."""
        clients = [{"url": getattr(one, "url", one), "timeout": "5s",
                    "backoff_config": {"min_period": "100ms", "max_period": "1s"}, **(client or {})} for one in sinks]
        changes = {key.replace("__", "."): value for key, value in changes.items()}
        daemon = Daemon(self, clients, f"e2e-{harness.RUN_ID}-*", changes, clock, prefix)
        self.addCleanup(daemon.end)
        return daemon.start() if start else daemon

    def load(self, count=0, **options):
        directory = harness.shared.path("reports")
        os.mkdir(directory)
        load = Load(self, directory)
        for _ in range(count):
            load.add(**options)
        return load

    def judge(self, sink, multiline=True):
        return judge_module.Judge(multiline).read(sink.stored())

    def wait_arrived(self, load, sink, timeout=harness.DEADLINE, multiline=True):
        """Waits until nothing new comes or all is there; the Judge."""
        wanted = sum(load.written().values())
        deadline = time.monotonic() + timeout
        size, changed = None, time.monotonic()
        while True:
            now = sink.stats()["pushes"]
            if now != size:
                size, changed = now, time.monotonic()
            quiet = time.monotonic() - changed
            if quiet > 2:
                judge = self.judge(sink, multiline)
                if judge.arrived() >= wanted or time.monotonic() > deadline or quiet > 15:
                    return judge
            time.sleep(0.5)

    def assert_delivered(self, load, sink, timeout=harness.DEADLINE, but=(), multiline=True, **allowed):
        """All that was written arrived once, in order; the Judge. `but`: kinds of faults that are expected here."""
        judge = self.wait_arrived(load, sink, timeout, multiline)
        verdict = judge.verdict(load.written(), **allowed)
        print(f"  {self.id().split('.')[-1]}: {verdict.numbers['arrived']} of {sum(load.written().values())} records, "
              f"{verdict.numbers['again']} came again, {verdict.numbers['gaps']} gaps, "
              f"{verdict.counts['late']} late", flush=True)
        if verdict.faults(*but):
            self.fail(f"FAULT_SEED={SEED}: {verdict}")
        return judge


def tree_of(settings):
    """Nested mappings of dotted names."""
    tree = {}
    for key, value in settings.items():
        at = tree
        *path, last = key.split(".")
        for word in path:
            at = at.setdefault(word, {})
        at[last] = value
    return tree


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
