# SPDX-License-Identifier: Apache-2.0
"""A project of docker-compose with the configuration that deploy/compose has, as it is: preset strict, traces joined,
health checks dropped, what is excluded not registered. Judged by what arrives, decoded by the receiver's own means."""

import collections
import os
import re
import shutil
import subprocess
import sys

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_judge import Limits, parse  # noqa: E402
from loki_receiver import Receiver  # noqa: E402

CONFIG = os.path.join(harness.TOP, "deploy/compose/notail.yaml")
LEVELS = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}
METADATA = {"container", "compose_project", "compose_service", "host", "container_id", "image", "engine", "pid", "comm",
            "detected_level"}

COMPOSE = """
version: "3.8"
x-service: &service
  image: busybox
  network_mode: none
  volumes: [".:/project:ro"]
services:
  web:
    <<: *service
    command: [sh, /project/web.sh]
  java:
    <<: *service
    command: [sh, /project/java.sh]
  quiet:
    <<: *service
    command: [sh, /project/quiet.sh]
    labels:
      notail.io/exclude: "true"
"""

# All at once, in the pieces that stdio makes of it; HOSTNAME is docker's.
WEB = """
trap 'echo bye; exit 0' TERM
sed "s/HOST/$HOSTNAME/g" /project/web.log
sleep 100000 &
wait
"""

# Once it is asked to, a write a line, as printStackTrace does.
JAVA = """
by_line() { while IFS= read -r line; do printf '%s\\n' "$line"; done; }
trap 'exit 0' TERM
echo started
while [ ! -e /tmp/go ]; do sleep 0.05; done
by_line < /project/java.err >&2
by_line < /project/java.out
sleep 100000 &
wait
"""

QUIET = """
trap 'exit 0' TERM
while :; do echo '{"level":30,"reqId":"none","msg":"of quiet"}'; echo of quiet >&2; sleep 0.1; done
"""

TRACE = """Exception in thread "main" java.lang.IllegalStateException: order 4711 is not there
\tat com.example.shop.Orders.find(Orders.java:88)
\tat com.example.shop.Main.main(Main.java:12)
\tSuppressed: java.io.IOException: closed twice
\t\tat com.example.shop.Pool.close(Pool.java:31)
\t\t... 2 more
Caused by: java.sql.SQLException: no connection

    detail: the pool is empty
\tat com.example.shop.Pool.get(Pool.java:21)
\t... 23 more
Caused by: java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\t... 25 more"""

JAVA_ERR = [
    "Nov 21, 2026 11:00:00 PM com.example.shop.Main main",
    TRACE,
    "INFO: trying again",
    "Could not write the cache",
    TRACE.replace("4711", "4712"),
    TRACE.replace("4711", "4713"),
    "WARNING: gave up",
    "java.lang.OutOfMemoryError\n\tat com.example.shop.Main.main(Main.java:13)",
]

PROBE = '10.0.0.9 - - [21/Nov/2026:23:00:00 +0000] "GET {} HTTP/1.1" {} 2 "-" "kube-probe/1.31"'
JAVA_OUT = ["Started Main in 2.5 seconds", PROBE.format("/actuator/health", 503), "stopping"]
JAVA_HEALTH = [PROBE.format("/actuator/health", 200), '10.0.0.9 - - [x] "GET /metrics HTTP/1.1" 200 4711']


def pino():
    """(lines, those that are health checks) of one `web`, as Pino and Fastify write them."""
    lines, health = [], set()
    for i in range(200):
        head = f'{{"level":{10 + i % 6 * 10},"time":{1732147200000 + i},"pid":1,"hostname":"HOST",'
        line = head + f'"reqId":"req-{i}-HOST","msg":"order {i} \\\\u00e4 {"x" * (i % 97)}"}}'
        if i % 5 == 1:
            line = head + (f'"reqId":"probe-{i}","req":{{"method":"GET","url":"/health","hostname":"HOST"}},'
                           '"res":{"statusCode":200},"responseTime":0.2,"msg":"request completed"}')
        elif i % 5 == 3:
            line = PROBE.format("/ready", 200)
        elif i % 50 == 4:
            line = head + '"msg":"no request"}'
        lines.append(line)
        if i % 5 in (1, 3):
            health.add(line)
    return lines, health


def level_of(line):
    """What the metadata `level` of a line of web is to be; None: none."""
    found = re.match(rb'{"level":(\d+),', line)
    return LEVELS[int(found.group(1))] if found else None


def request_of(line):
    found = re.search(rb'"reqId":"([^"]*)"', line)
    return found.group(1).decode() if found else None


class Compose(harness.TestCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("docker-compose"):
            self.skipTest("not installed: docker-compose")
        self.receiver = Receiver()
        self.receiver.__enter__()
        self.addCleanup(self.receiver.__exit__, None, None, None)
        self.sent = self.record_labels()
        self.project = self.name("shop")
        self.directory = harness.shared.path("shop")
        os.mkdir(self.directory)
        self.addCleanup(self.remove_containers)
        self.web, self.health = pino()
        for name, text in (("docker-compose.yml", COMPOSE), ("web.sh", WEB), ("java.sh", JAVA), ("quiet.sh", QUIET),
                           ("web.log", "\n".join(self.web) + "\n"), ("java.err", "\n".join(JAVA_ERR) + "\n"),
                           ("java.out", "\n".join(JAVA_OUT[:1] + JAVA_HEALTH + JAVA_OUT[1:]) + "\n")):
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
                file.write(text)

    def record_labels(self):
        """The set of the label sets that are pushed, before Loki adds any."""
        seen, receive = set(), self.receiver.receive

        def listen(headers, body, *fault):
            seen.update(tuple(sorted(pairs)) for pairs, _ in parse(headers, body, Limits()))
            return receive(headers, body, *fault)

        self.receiver.receive = listen
        return seen

    def compose(self, *words):
        """docker-compose of this project, to its end."""
        done = subprocess.run(
            ["docker-compose", "-p", self.project, *words], cwd=self.directory, env=self.engine.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))

    def containers(self, service=None):
        """{id: name} of the project's running containers, by docker's own list."""
        filters = [f"label=com.docker.compose.project={self.project}"]
        if service:
            filters.append(f"label=com.docker.compose.service={service}")
        words = [word for one in filters for word in ("--filter", one)]
        said = self.engine.docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}", *words).stdout
        return dict(line.split() for line in said.splitlines())

    def remove_containers(self):
        ids = self.engine.docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}").stdout
        if ids:
            self.engine.remove(*ids.split())

    def pushing(self):
        """notail with the deployed file, but for where it pushes to."""
        return self.plain_notail("run", "-c", CONFIG, "--loki", self.receiver.url, "--docker", self.engine.host,
                                 "--container", self.project + "*", "--stats", env={"APP_ENV": "test"})

    def registered(self, notail):
        """Ids of the project's containers that this notail has streams of."""
        said = subprocess.run([harness.NOTAIL, "probe", "--registered"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=True).stdout.decode()
        rows = [line.split() for line in said.splitlines()]
        return {row[1] for row in rows if row[0] == str(notail.pid)} & set(self.containers())

    def entries(self, **metadata):
        """What was kept, with its labels, by container and stream; of the order of its times."""
        found = collections.defaultdict(list)
        for labels, entries in self.receiver.streams().values():
            for e in entries:
                if all(e.metadata.get(k) == v for k, v in metadata.items()):
                    found[e.metadata["container_id"], labels["stream"]].append((labels, e))
        for group in found.values():
            group.sort(key=lambda pair: pair[1].ts)
        return found

    def lines(self, identity, stream="stdout"):
        return [e.line for _, e in self.entries(container_id=identity)[identity, stream]]

    def wait_lines(self, identity, expected, stream="stdout"):
        expected = [line.encode() for line in expected]
        try:
            harness.wait_for(lambda: len(self.lines(identity, stream)) >= len(expected), interval=0.2)
        except AssertionError:
            pass  # the comparison says more
        self.assert_lines(self.lines(identity, stream), expected, f"{identity} {stream}")

    def web_lines(self, identity):
        """What of a `web` is to arrive."""
        return [line.replace("HOST", identity[:12]) for line in self.web if line not in self.health]

    def labels(self, service, stream="stdout"):
        return {"app": self.project, "env": "test", "service": service, "stream": stream}

    def assert_sent(self, *expected):
        """These are all label sets that there were."""
        self.assertEqual(sorted(self.sent), sorted(tuple(sorted(labels.items())) for labels in expected))

    def assert_metadata(self, containers):
        for (identity, _), group in self.entries().items():
            for labels, e in group:
                more = {}
                if labels["service"] == "web":
                    more = {"level": level_of(e.line), "request_id": request_of(e.line)}
                    more = {name: value for name, value in more.items() if value is not None}
                self.assertLessEqual(set(e.metadata) - set(more), METADATA, e)
                expected = {"compose_project": self.project, "compose_service": labels["service"], "image": "busybox",
                            "host": os.uname().nodename, "engine": "docker", **more}
                self.assertLessEqual(expected.items(), e.metadata.items(), e)
                # The second is what docker-compose calls one that it is about to replace.
                name = containers[identity]
                self.assertIn(e.metadata["container"], (name, f"{identity[:12]}_{name}"))

    def test_three_services(self):
        """`java` and one `quiet` run before notail does; the rest of the project comes up while it runs."""
        self.compose("up", "-d", "java", "quiet")
        (java, java_name), = self.containers("java").items()
        harness.wait_for(lambda: self.engine.logs(java, "stdout") == b"started\n", what="java's first line")
        notail = self.pushing()
        self.compose("up", "-d", "--scale", "web=3", "--scale", "quiet=2")
        web, quiet = self.containers("web"), self.containers("quiet")
        self.assertEqual((len(web), len(quiet)), (3, 2))
        self.engine.touch(java, "/tmp/go")
        for identity in web:
            self.wait_lines(identity, self.web_lines(identity))
        self.wait_lines(java, JAVA_ERR, "stderr")
        self.wait_lines(java, JAVA_OUT)
        harness.wait_for(lambda: self.registered(notail) == {java, *web},
                         what=lambda: f"{self.registered(notail)}, expected {java} and {sorted(web)}")
        before = {identity: len(self.engine.logs(identity, "stdout")) for identity in quiet}
        harness.wait_for(lambda: all(len(self.engine.logs(i, "stdout")) > before[i] for i in quiet), what="quiet")
        self.assertEqual(notail.stop(), 0, notail.stderr())

        self.assert_sent(self.labels("web"), self.labels("java"), self.labels("java", "stderr"))
        self.assertEqual(set(self.entries()), {(java, "stdout"), (java, "stderr"), *((i, "stdout") for i in web)})
        self.assert_metadata({java: java_name, **web})
        for identity in web:
            self.wait_lines(identity, self.web_lines(identity))
        dropped = 3 * sum(line in self.health for line in self.web) + len(JAVA_HEALTH)
        self.assertEqual(re.findall(r"notail_stage_dropped_lines_total.*", notail.stderr()),
                         [f'notail_stage_dropped_lines_total{{reason="health"}} {dropped}'])
        self.assertEqual(self.receiver.duplicates(), 0)

    def test_recreated(self):
        """Other containers of the same names: the same labels, and each one's last line."""
        notail = self.pushing()
        self.compose("up", "-d", "--scale", "web=2", "web")
        first = self.containers("web")
        for identity in first:
            self.wait_lines(identity, self.web_lines(identity))
        self.compose("up", "-d", "--force-recreate", "--scale", "web=2", "web")
        second = self.containers("web")
        self.assertEqual(sorted(first.values()), sorted(second.values()))
        self.assertEqual(set(first) & set(second), set())
        self.compose("stop", "web")
        for identity in (*first, *second):
            self.wait_lines(identity, self.web_lines(identity) + ["bye"])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assert_sent(self.labels("web"))
        self.assert_metadata({**first, **second})
