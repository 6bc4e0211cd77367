# SPDX-License-Identifier: Apache-2.0
"""notail test-pipeline: configurations as Promtail's documentation has them, lines in, JSON out. No root, no engine."""

import json
import os
import subprocess
import tempfile
import unittest

import harness

DEADLINE = 60

DOCKER = """
server: {{http_listen_port: 9080}}
positions: {{filename: /tmp/positions.yaml}}
clients:
  - url: http://loki:3100/loki/api/v1/push
scrape_configs:
  - job_name: docker
    docker_sd_configs:
      - host: unix:///var/run/docker.sock
    relabel_configs:
      - source_labels: ['__meta_docker_container_name']
        regex: '/(.*)'
        target_label: 'container'
      - source_labels: ['__meta_docker_container_label_logging']
        regex: 'off'
        action: drop
    pipeline_stages:
{stages}
"""


class Pipeline(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="notail-pipeline-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def run_command(self, config, lines, *arguments):
        path = os.path.join(self.directory, "config.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config)
        return subprocess.run(
            [harness.NOTAIL, "test-pipeline", "-c", path, *arguments],
            input=lines if isinstance(lines, bytes) else lines.encode(),
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )

    def entries(self, stages, lines, *arguments, name="/web"):
        config = DOCKER.format(stages="\n".join("      " + line for line in stages.strip().splitlines()))
        done = self.run_command(config, lines, "--set", f"__meta_docker_container_name={name}", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def one(self, stages, line):
        (entry,) = self.entries(stages, line + "\n")
        return entry

    def test_no_stages(self):
        first, second = self.entries("- docker: {}", "one\n\xfftwo".encode("latin-1"))
        self.assertEqual(first["line"], "one")
        self.assertEqual(first["stream"], "stdout")
        self.assertEqual(first["labels"], {"container": "web"})
        self.assertEqual(first["metadata"], {})
        self.assertNotIn("tenant", first)
        self.assertEqual(second["line_base64"], "/3R3bw==")
        self.assertLess(first["ts"], second["ts"])

    def test_json_and_labels(self):
        entry = self.one(
            """
- json:
    expressions: {output: log, stream: stream, extra: }
- json:
    expressions: {user: }
    source: extra
- labels: {user: }
- output: {source: output}
""",
            '{"log":"log message\\n","stream":"stderr","time":"2019-04-30T02:12:41.8443515Z","extra":"{\\"user\\":\\"marco\\"}"}',
        )
        self.assertEqual(entry["line"], "log message\n")
        self.assertEqual(entry["labels"], {"container": "web", "user": "marco"})

    def test_regex_of_containerd(self):
        entry = self.one(
            """
- regex:
    expression: "^(?s)(?P<time>\\\\S+?) (?P<stream>stdout|stderr) (?P<flags>\\\\S+?) (?P<content>.*)$"
- labels: {stream: , flags: }
- output: {source: content}
""",
            "2019-01-01T01:00:00.000000001Z stderr P i'm a log message!",
        )
        self.assertEqual(entry["line"], "i'm a log message!")
        self.assertEqual(entry["labels"], {"container": "web", "stream": "stderr", "flags": "P"})

    def test_logfmt_metadata_tenant(self):
        entry = self.one(
            """
- logfmt:
    mapping: {timestamp: time, app: , duration: , customer: }
- structured_metadata: {duration: }
- tenant: {source: customer}
""",
            "time=2012-11-01T22:08:41+00:00 app=loki level=WARN duration=125 message=\"this is\" customer=c1",
        )
        self.assertEqual(entry["metadata"], {"duration": "125"})
        self.assertEqual(entry["tenant"], "c1")

    def test_match(self):
        stages = """
- json: {expressions: {app: }}
- labels: {app: }
- match:
    selector: '{app="loki"}'
    stages:
      - json: {expressions: {msg: message}}
- match:
    pipeline_name: "app2"
    selector: '{app="pokey"}'
    action: keep
    stages:
      - json: {expressions: {msg: msg}}
- match:
    selector: '{app="promtail"} |~ ".*noisy error.*"'
    action: drop
    drop_counter_reason: promtail_noisy_error
- output: {source: msg}
"""
        lines = [
            '{ "time":"2012-11-01T22:08:41+00:00", "app":"loki", "component": ["parser","type"], "level" : "WARN", '
            '"message" : "app1 log line" }',
            '{ "time":"2012-11-01T22:08:41+00:00", "app":"promtail", "level" : "ERROR", "text" : "foo noisy error" }',
            '{ "app":"pokey", "msg" : "app2 log line" }',
        ]
        entries = self.entries(stages, "\n".join(lines) + "\n")
        self.assertEqual([e["line"] for e in entries], ["app1 log line", "app2 log line"])
        self.assertEqual([e["labels"]["app"] for e in entries], ["loki", "pokey"])

    def test_drop_by_source_keeps_what_has_none(self):
        entries = self.entries(
            "- json: {expressions: {level: , msg: }}\n- drop: {source: level, value: error}\n"
            "- drop: {source: msg}",
            '{"time":"2019","level":"error"}\n{"level":"info"}\n{"msg":"11.11.11.11"}\nplain\n',
        )
        self.assertEqual([e["line"] for e in entries], ['{"level":"info"}', "plain"])

    def test_multiline_ends_with_the_input(self):
        trace = 'Exception in thread "main"\n\tat a.b(C.java:1)\n\n\tat d.e(F.java:2)'
        entries = self.entries("- multiline: {firstline: '^\\S', max_wait_time: 1h}", "before\n" + trace)
        self.assertEqual([e["line"] for e in entries], ["before", trace])

    def test_metrics_file(self):
        path = os.path.join(self.directory, "metrics")
        self.entries(
            """
- regex: {expression: "took (?P<took>\\\\S+)"}
- metrics:
    took: {type: Histogram, description: how long, config: {buckets: [0.1, 1]}}
    lines_total: {type: Counter, prefix: my_, config: {match_all: true, action: inc}}
""",
            "took 50ms\ntook 2\nnothing\n",
            f"--metrics-file={path}",
        )
        with open(path, encoding="utf-8") as f:
            self.assertEqual(
                f.read(),
                """# HELP my_lines_total 
# TYPE my_lines_total counter
my_lines_total{container="web"} 3
# HELP notail_custom_took how long
# TYPE notail_custom_took histogram
notail_custom_took_bucket{container="web",le="0.1"} 1
notail_custom_took_bucket{container="web",le="1"} 1
notail_custom_took_bucket{container="web",le="+Inf"} 2
notail_custom_took_sum{container="web"} 2.05
notail_custom_took_count{container="web"} 2
""",
            )

    def test_inspect(self):
        config = "pipeline_stages:\n  - logfmt: {mapping: {level: }}\n  - match:\n      selector: '{container=\"web\"}'\n"
        config += "      stages:\n        - labels: {level: }\n        - drop: {source: level, value: debug}\n"
        arguments = "--set", "container=web"
        plain = self.run_command(config, "level=info\nlevel=debug\n", *arguments)
        self.assertEqual(plain.stderr, b"")
        done = self.run_command(config, "level=info\nlevel=debug\n", *arguments, "--inspect")
        self.assertEqual(done.returncode, 0)
        (entry,) = [json.loads(line) for line in done.stdout.decode().splitlines()]
        self.assertEqual(entry["labels"], {"container": "web", "level": "info"})
        expected = ""
        for level in "info", "debug":
            expected += f"""[inspect: entry]: {{container="web"}} level={level}
[inspect: logfmt stage]: pipeline_stages[0].logfmt
Extracted["level"]:
\t+: {level}
[inspect: labels stage]: pipeline_stages[1].match.stages[0].labels
Labels["level"]:
\t+: {level}
"""
        expected += "[inspect: drop stage]: pipeline_stages[1].match.stages[1].drop\nDropped: drop_stage\n"
        self.assertEqual(done.stderr.decode(), expected)

    def test_dropped_target(self):
        self.assertEqual(
            self.entries("- docker: {}", "one\n", "--set", "__meta_docker_container_label_logging=off"), []
        )

    def test_job(self):
        config = """
scrape_configs:
  - job_name: a
    static_configs: [{targets: [localhost], labels: {job: a, __path__: /var/log/pods/*}}]
    pipeline_stages: [{static_labels: {x: a}}]
  - job_name: b
    static_configs: [{targets: [localhost], labels: {job: b, __path__: /var/log/pods/*}}]
    pipeline_stages: [{static_labels: {x: b}}]
"""
        done = self.run_command(config, "l\n", "--job", "b")
        self.assertEqual(json.loads(done.stdout)["labels"], {"job": "b", "x": "b"})
        self.assertEqual(self.run_command(config, "l\n", "--job", "c").returncode, 1)

    def test_what_is_wrong_is_told_with_its_place(self):
        done = self.run_command("pipeline_stages:\n  - regex: {expression: 'a('}\n  - lables: {a: }\n", "l\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"")
        text = done.stderr.decode()
        self.assertIn("config.yaml:2:25: pipeline_stages[0].regex.expression: ", text)
        self.assertIn("config.yaml:3:5: pipeline_stages[1].lables: unknown stage `lables`, expected `labels`?", text)

    def test_command_line(self):
        for arguments in ([], ["-c"], ["-c", "x", "y"], ["-c", "x", "--set", "a"], ["-c", "x", "--nope"]):
            done = subprocess.run(
                [harness.NOTAIL, "test-pipeline", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=DEADLINE, check=False,
            )
            self.assertEqual(done.returncode, 2, arguments)
        done = subprocess.run(
            [harness.NOTAIL, "test-pipeline", "--help"], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=DEADLINE, check=False,
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"--metrics-file", done.stdout)
