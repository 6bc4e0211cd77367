# SPDX-License-Identifier: Apache-2.0
"""What keeps streams few and entries apart: a label of a user's rule with too many values, and containers that have all
labels in common. GUARD_VALUES, GUARD_CONTAINERS and GUARD_LABEL_VALUES set the numbers of the first."""

import collections
import concurrent.futures
import os
import re
import signal
import time

import harness
import test_loki

# Containers with a value of their own, containers in all, and how many values the label may have.
VALUES = int(os.environ.get("GUARD_VALUES", 30))
CONTAINERS = int(os.environ.get("GUARD_CONTAINERS", 30))
LABEL_VALUES = int(os.environ.get("GUARD_LABEL_VALUES", 20))
AT_ONCE = 8
NS_PER_MS = 1000000

RULE = """
limits: {{label_values: {label_values}, identity_values: {identity_values}}}
relabel_configs:
- {{source_labels: [__meta_docker_container_label_request_id], target_label: request_id}}
"""

# Two replicas of a service: each waits for the other, then writes the same.
REPLICA = "echo up; while [ ! -e /common/begin ]; do sleep 0.02; done; cat /common/lines; echo done"
EQUAL = r"""
preset: strict
external_labels: {env: test}
pipeline_stages:
- regex: {expression: '^at=(?P<at>\d+) '}
- timestamp: {source: at, format: UnixMs}
"""


class Guard(test_loki.Base):
    def of_prefix(self, target, prefix):
        """The entries of the containers whose names begin so, by name."""
        found = {}
        for entry in target.entries({"job": "docker"}, self.since_ns):
            if entry.labels.get("container", "").startswith(prefix):
                found.setdefault(entry.labels["container"], []).append(entry)
        return found

    def run_many(self, target, base, values):
        """Containers that print a line each, with these values of the docker label; their entries."""

        def run_one(item):
            number, value = item
            options = ["--rm", *(["--label", f"request_id={value}"] if value else [])]
            self.engine.run("busybox", "echo", "hi", name=f"{base}-{number}", options=options)

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(run_one, enumerate(values)))
        harness.wait_for(lambda: len(self.of_prefix(target, base + "-")) >= len(values), interval=0.5,
                         what=lambda: f"{len(self.of_prefix(target, base + '-'))} of {len(values)} containers")
        found = self.of_prefix(target, base + "-")
        self.assertEqual(set(found), {f"{base}-{number}" for number in range(len(values))})
        self.assertEqual({len(entries) for entries in found.values()}, {1})
        return {name: entries[0] for name, entries in found.items()}

    def warnings(self, notail, name):
        return re.findall(rf"label {name} has more than .*", notail.stderr())

    def test_label_of_a_rule(self):
        """It becomes structured metadata with one value too many, of those that have it already too; `container` stays
        a label of all, and only warns. After a reload the label is one again."""
        target = self.target()
        path = self.file(RULE.format(label_values=LABEL_VALUES, identity_values=2000))
        notail = self.pushing(target, "-c", path, "--batchwait", "200ms")
        first, many, more = self.name("first"), self.name("many"), self.name("more")
        self.engine.start("busybox", "sh", "-c", "while :; do echo again; sleep 0.2; done", name=first,
                          options=["--label", "request_id=first"])
        self.assertEqual(self.wait_entries(target, first, 1)[0].labels["request_id"], "first")

        values = [f"r{i}" if i < VALUES else None for i in range(CONTAINERS)]
        entries = self.run_many(target, many, values)
        of_label = [name for name, e in entries.items() if "request_id" in e.labels]
        of_metadata = [name for name, e in entries.items() if "request_id" in e.metadata]
        self.assertEqual(len(of_label), LABEL_VALUES - 1)  # the first container has one
        self.assertEqual(len(of_metadata), VALUES - len(of_label))
        for number, value in enumerate(values):
            entry = entries[f"{many}-{number}"]
            self.assertEqual(entry.labels.get("request_id") or entry.metadata.get("request_id"), value)
        newest = lambda: self.entries(target, first)[-1]
        harness.wait_for(lambda: "request_id" not in newest().labels, interval=target.poll_seconds, what=newest)
        self.assertEqual(newest().metadata["request_id"], "first")
        self.assertEqual(self.warnings(notail, "request_id"), [
            f"label request_id has more than {LABEL_VALUES} values within 60 minutes: from now on it is structured "
            "metadata, no label"])
        self.assertEqual(self.warnings(notail, "container"), [])

        with open(path, "w", encoding="utf-8") as file:
            file.write(RULE.format(label_values=LABEL_VALUES, identity_values=2))
        notail.process.send_signal(signal.SIGHUP)
        harness.wait_for(lambda: newest().labels.get("request_id") == "first", interval=target.poll_seconds, what=newest)
        entries = self.run_many(target, more, [f"m{i}" for i in range(5)])
        self.assertEqual({e.labels["request_id"] for e in entries.values()}, {f"m{i}" for i in range(5)})
        self.assertEqual(len(self.warnings(notail, "container")), 1, notail.stderr())
        self.assertEqual(len(self.warnings(notail, "request_id")), 1, notail.stderr())
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assertRegex(notail.stderr(), r"(?m)notail_guard_trips_total 1$")
        self.assertRegex(notail.stderr(), r"(?m)notail_identity_labels_over_total 1$")

    def test_equal_lines_of_two_replicas(self):
        """Loki keeps one of two equal entries of a stream: below the stage's milliseconds stand the record's digits."""
        target = self.target()
        notail = self.plain_notail("--loki", target.url, "-c", self.file(EQUAL), "--batchwait", "200ms", "--docker",
                                   self.engine.host, "--container", f"e2e-{harness.RUN_ID}-*", "--stats")
        names = [self.name(f"replica{i}") for i in range(2)]
        project = f"p{harness.RUN_ID}{harness.attempt()}"
        common = harness.shared.path("common")
        os.mkdir(common)
        now_ms = time.time_ns() // NS_PER_MS
        # Two of three are the line before them once more.
        lines = [b"at=%d GET /%d" % (now_ms + i // 3, i // 3 % 7) for i in range(3000)]
        with open(os.path.join(common, "lines"), "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
        for i, name in enumerate(names, 1):
            labels = {"com.docker.compose.project": project, "com.docker.compose.service": "web",
                      "com.docker.compose.container-number": str(i)}
            options = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
            self.engine.start("busybox", "sh", "-c", REPLICA, name=name, options=[*options, "-v", f"{common}:/common"])
        labels = {"app": project, "env": "test", "service": "web", "stream": "stdout"}
        count = lambda line: [e.line for e in target.entries(labels, self.since_ns)].count(line)
        harness.wait_for(lambda: count(b"up") == 2, interval=target.poll_seconds, what="both replicas")
        with open(os.path.join(common, "begin"), "w", encoding="ascii"):
            pass
        harness.wait_for(lambda: count(b"done") == 2, interval=target.poll_seconds, what="the end of both")
        self.assertEqual(notail.stop(), 0, notail.stderr())
        entries = [e for e in target.entries(labels, self.since_ns) if e.line not in (b"up", b"done")]
        self.assertEqual({frozenset((n, v) for n, v in e.labels.items() if n != "service_name") for e in entries},
                         {frozenset(labels.items())})
        self.assertEqual({e.metadata["container"] for e in entries}, set(names))
        wanted = collections.Counter({line: 2 * n for line, n in collections.Counter(lines).items()})
        self.assertEqual(collections.Counter(e.line for e in entries), wanted)
        self.assertEqual([e.line for e in entries if not e.line.startswith(b"at=%d " % (e.ts // NS_PER_MS))], [])
        if target.receiver:
            self.assertEqual(target.receiver.duplicates(), 0)
