# SPDX-License-Identifier: Apache-2.0
"""A configuration in force: labels by rules, stages, containers that are excluded, another file in mid-stream."""

import os
import re
import signal
import sys

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_receiver import Receiver  # noqa: E402

FOR_EVER = "while [ ! -e /tmp/end ]; do echo again; sleep 0.02; done"


class Config(harness.TestCase):
    needs_programs = ("writer",)

    def labels(self, notail, name):
        return [e.labels for e in notail.of(name)]

    def test_rules_and_stages(self):
        path = self.file(r"""
            external_labels: {cluster: c1, team: nobody}
            relabel_configs:
            - {source_labels: [__meta_docker_container_label_team], target_label: team}
            - {source_labels: [__meta_docker_container_name, __meta_notail_stream], regex: '.*-rules;stderr', action: drop}
            - {action: labeldrop, regex: host|service_name}
            pipeline_stages:
            - multiline: {firstline: '^\S', max_wait_time: 1s}
            - match:
                selector: '{team="core"} |= "{"'
                stages:
                - json: {expressions: {level: level, user: user, msg: msg}}
                - labels: {level: }
                - structured_metadata: {user: }
                - drop: {source: msg, value: noise}
                - output: {source: msg}
            """.replace("\n            ", "\n"))
        notail = self.notail("-c", path)
        name, other = self.name("rules"), self.name("other")
        script = r"""printf '%s\n' '{"level":"info","user":"u1","msg":"one"}' '{"level":"info","msg":"noise"}'
            printf 'trace\n  at a\n  at b\n'; echo gone >&2; printf 'half'"""
        self.engine.run("busybox", "sh", "-c", script, name=name, options=["--label", "team=core"])
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=other)
        notail.wait_lines(name, "stdout", [b"one", b"trace\n  at a\n  at b", b"half"])
        notail.wait_lines(other, "stderr", [b"err"])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        common = {"cluster": "c1", "container": name, "job": "docker", "stream": "stdout", "team": "core"}
        self.assertEqual(self.labels(notail, name), [{**common, "level": "info"}, common, common])
        self.assertEqual(notail.of(name)[0].metadata["user"], "u1")
        self.assertEqual(notail.lines(name, "stderr"), [])
        self.assertEqual({labels["team"] for labels in self.labels(notail, other)}, {"nobody"})
        self.assertIn('notail_stage_dropped_lines_total{reason="drop_stage"} 1', notail.stderr())

    def test_a_promtail_file(self):
        name, other = self.name("promtail"), self.name("unselected")
        path = self.file(f"""
            clients: [{{url: "http://localhost:1"}}]
            positions: {{filename: /tmp/positions.yaml}}
            scrape_configs:
            - job_name: docker
              docker_sd_configs:
              - host: {self.engine.host}
                filters: [{{name: name, values: ["{name}"]}}]
              relabel_configs:
              - {{source_labels: [__meta_docker_container_name], regex: '/(.*)', target_label: container}}
              - {{source_labels: [__meta_docker_container_log_stream], target_label: logstream}}
            """.replace("\n            ", "\n"))
        notail = self.notail("-c", path)
        self.engine.run("busybox", "echo", "not selected", name=other)
        self.engine.run("busybox", "echo", "selected", name=name)
        notail.wait_lines(name, "stdout", [b"selected"])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assertEqual(self.labels(notail, name), [{"container": name, "logstream": "stdout"}])
        self.assertNotIn(b"not selected", [e.line for e in notail.entries()])

    def test_excluded_are_unregistered(self):
        path = self.file("""
            relabel_configs:
            - {source_labels: [__meta_docker_container_label_skip], regex: 'yes', action: drop}
            """.replace("\n            ", "\n"))
        notail = self.notail("-c", path)
        by_rule, by_label, kept = self.name("by-rule"), self.name("by-label"), self.name("kept")
        ids = {}
        for name, option in ((by_rule, ["--label", "skip=yes"]), (by_label, ["--label", "notail.io/exclude=true"]),
                             (kept, [])):
            ids[name] = self.engine.start("busybox", "sh", "-c", FOR_EVER, name=name, options=option)
        notail.wait_lines(kept, "stdout", 5)

        def registered():
            done = harness.Notail("probe", "--registered", wait=False)
            self.addCleanup(done.kill)
            self.assertEqual(done.wait(), 0, done.stderr())
            found = [line.split() for line in done.stdout_bytes().decode().splitlines()]
            return {words[1] for words in found if words[0] == str(notail.pid)}

        harness.wait_for(lambda: ids[kept] in registered() and not {ids[by_rule], ids[by_label]} & registered(),
                         what=lambda: f"{registered()} of {ids}")
        self.rewrite(path, "pipeline_stages: []\n")
        notail.process.send_signal(signal.SIGHUP)
        notail.wait_lines(by_rule, "stdout", 5)
        self.assertEqual(notail.of(by_label), [])
        self.engine.remove(by_rule, by_label, kept)
        self.assertEqual(notail.stop(), 0, notail.stderr())

    def test_reload_in_mid_stream(self):
        text = """
            relabel_configs: [{target_label: version, replacement: "%d"}]
            pipeline_stages: [{multiline: {firstline: '^0 .*[05] ', max_wait_time: 1s}}]
            """.replace("\n            ", "\n")
        path = self.file(text % 1)
        notail = self.notail("-c", path)
        name = self.name("reload")
        self.engine.start("busybox", "writer", "--lines", "40000", "--rate", "5000", "--min", "30", "--max", "60",
                          name=name)
        for version in range(2, 6):
            before = len(notail.of(name))
            harness.wait_for(lambda: len(notail.of(name)) > before, what="lines")
            self.rewrite(path, "relabel_configs: [{action: nothing}]\n" if version == 4 else text % version)
            notail.process.send_signal(signal.SIGHUP)
            word = r"nothing.*\n(.*\n)*.*what was in force stays" if version == 4 else "is in force"
            count = lambda: len(re.findall(r"notail\.yaml is in force", notail.stderr()))
            wanted = {2: 1, 3: 2, 4: 2, 5: 3}[version]
            harness.wait_for(lambda: re.search(word, notail.stderr()) and count() == wanted, what=notail.stderr)
        self.assertEqual(self.engine.wait(name), 0)
        record = self.engine.record(name)["stdout"]
        lines = lambda: b"\n".join(notail.lines(name, "stdout")).split(b"\n")
        harness.wait_for(lambda: len(lines()) >= len(record), what=lambda: f"{len(lines())} of {len(record)} lines")
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assert_lines(lines(), record)
        versions = [e.labels["version"] for e in notail.of(name)]
        self.assertEqual(versions, sorted(versions))
        self.assertLessEqual({"1", "2", "3"}, set(versions))
        self.assertNotIn("4", versions)

    def receiver(self):
        """A receiver with tenants, and the list of the headers that it gets."""
        receiver = Receiver(auth=True)
        receiver.__enter__()
        self.addCleanup(receiver.__exit__, None, None, None)
        seen, receive = [], receiver.receive

        def listen(headers, body, *fault):
            seen.append(dict(headers))
            return receive(headers, body, *fault)

        receiver.receive = listen
        return receiver, seen

    def test_networks_of_another_container(self):
        """It has no networks by itself: those are the other's, whose lines are not even wanted."""
        path = self.file("""
            relabel_configs:
            - {source_labels: [__meta_docker_network_name], target_label: network}
            - {source_labels: [__meta_docker_container_network_mode], regex: '(.*):.*', target_label: mode, replacement: $1}
            - {source_labels: [__meta_docker_container_name], regex: '.*-joined', action: keep}
            """.replace("\n            ", "\n"))
        notail = self.notail("-c", path)
        other, name = self.name("other"), self.name("joined")
        self.engine.start("busybox", "sleep", "1000", name=other)
        self.engine.docker("run", "--name", name, "--network", f"container:{other}", "busybox", "echo", "hi")
        notail.wait_lines(name, "stdout", [b"hi"])
        labels = self.labels(notail, name)[0]
        self.assertEqual((labels.get("network"), labels.get("mode")), ("none", "container"), labels)

    def test_clients(self):
        (one, one_saw), (two, two_saw) = self.receiver(), self.receiver()
        secret = self.file("s3cret\n")
        path = self.file(f"""
            clients:
            - url: {one.url}
              tenant_id: main
              batchwait: 100ms
              basic_auth: {{username: me, password_file: {secret}}}
              headers: {{X-Extra: more}}
              external_labels: {{cluster: one, job: mine}}
            - {{url: "{two.url}", tenant_id: other, batchwait: 100ms, bearer_token_file: {secret}}}
            pipeline_stages:
            - regex: {{expression: '^tenant=(?P<tenant>\\w+)'}}
            - tenant: {{source: tenant}}
            """.replace("\n            ", "\n"))
        notail = self.plain_notail("-c", path, "--docker", self.engine.host, "--container",
                                   f"e2e-{harness.RUN_ID}-*", "--stats")
        name = self.name("clients")
        self.engine.run("busybox", "sh", "-c", "echo plain; echo tenant=third of it", name=name)

        def found(receiver, tenant):
            return [(labels.get("cluster"), labels["job"], [e.line for e in entries])
                    for labels, entries in receiver.streams(tenant).values()]

        for receiver, tenant, cluster in ((one, "main", "one"), (two, "other", None)):
            for words, line in ((tenant, b"plain"), ("third", b"tenant=third of it")):
                harness.wait_for(lambda: found(receiver, words), what=lambda: f"a push of {words}: {notail.stderr()}")
                self.assertEqual(found(receiver, words), [(cluster, "docker", [line])])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assertEqual({(h["authorization"], h["x-extra"]) for h in one_saw}, {("Basic bWU6czNjcmV0", "more")})
        self.assertEqual({h["authorization"] for h in two_saw}, {"Bearer s3cret"})
