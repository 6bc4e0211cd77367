# SPDX-License-Identifier: Apache-2.0
"""What is for whoever operates notail: check-loki, support-bundle, metrics as they are documented, and as promtool
takes them."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import unittest
import urllib.request

import harness
import prometheus
from test_status import LOCAL, Receiver, StatusTestCase


class CheckLoki(StatusTestCase):
    def check(self, *arguments):
        return subprocess.run([harness.NOTAIL, "check-loki", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=harness.DEADLINE * 2, check=False)

    def test_pushed_and_read_back(self):
        receiver = self.receiver()
        done = self.check(receiver.url, "--host", 'a "node"')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, rf"^{re.escape(receiver.url)}/loki/api/v1/push: pushed in \d+ ms, read back after \d+ ms\n$")
        ((labels, (entry,)),) = receiver.streams().values()
        self.assertEqual((labels["job"], labels["host"]), ("notail_check", 'a "node"'))
        self.assertRegex(entry.line if isinstance(entry.line, str) else entry.line.decode(), "^notail .* check [0-9a-f]{16}$")

    def test_clients_of_a_file(self):
        good, tenants = self.receiver(), self.receiver(auth=True)
        path = self.file(f"clients: [{{url: '{tenants.url}', tenant_id: team}}, {{url: '{good.url}'}}]\n")
        done = self.check("-c", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(done.stdout.splitlines()), 2)
        self.assertEqual(len(tenants.streams("team")), 1)

    def test_problems_in_words(self):
        tenants = self.receiver(auth=True)
        held = self.busy_port()
        self.assertNotEqual(held, 0)
        done = self.check(tenants.url)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("--tenant ID", done.stderr)
        done = self.check(tenants.url + "/nothing/here", "--tenant", "a")
        self.assertEqual(done.returncode, 1)
        self.assertIn("base URL", done.stderr)
        done = self.check("http://user:geheim@127.0.0.1:1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing listens there", done.stderr)
        self.assertNotIn("geheim", done.stderr)
        for arguments, text in ((), "expected a URL"), (("ftp://x",), "it does not begin"):
            done = self.check(*arguments)
            if arguments or not os.path.exists("/etc/notail/notail.yaml"):
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    def receiver(self, **keywords):
        one = Receiver(**keywords)
        self.addCleanup(one.stop)
        return one.start()


class SupportBundle(StatusTestCase):
    def test_bundle(self):
        secret = self.file("secret-of-a-file\n")
        path = self.file(f"""
server: {{listen: {LOCAL}}}
shutdown_timeout: 1s
clients:
- {{url: 'http://user:secret-of-a-url@127.0.0.1:9', bearer_token: secret-token, headers: {{X-Key: secret-header}}}}
- {{url: 'http://127.0.0.1:9', name: two, basic_auth: {{username: u, password: secret-password}},
   proxy_url: 'http://u:secret-proxy@127.0.0.1:9'}}
- {{url: 'http://127.0.0.1:9', name: three, basic_auth: {{username: u, password_file: {secret}}}}}
- {{url: 'http://127.0.0.1:9', name: four, authorization: {{credentials: secret-credentials}}}}
- {{url: 'http://127.0.0.1:9', name: five, oauth2: {{client_id: i, client_secret: secret-client,
   token_url: 'http://u:secret-of-token-url@127.0.0.1:9', endpoint_params: {{p: secret-param}}}}}}
discovery: {{docker: {{host: '{self.engine.host}'}}}}
capture: {{containers: ['{self.name("bundle")}']}}
""")
        notail = self.plain_notail("run", "-c", path)
        name = self._containers[0]
        self.engine.start("busybox", "sh", "-c", "echo a-line-of-log; sleep 1000", name=name)
        harness.wait_for(lambda: (t := self.target(notail, name)) and t["streams"], what=name)
        bundle = harness.shared.path(f"bundle-{os.getpid()}.tar")
        command = [harness.NOTAIL, "support-bundle", bundle, "-c", path, "--listen", self.address(notail)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.DEADLINE,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(os.stat(bundle).st_mode & 0o777, 0o600)
        with tarfile.open(bundle) as tar:
            parts = {m.name.removeprefix("notail-support/"): tar.extractfile(m).read().decode() for m in tar.getmembers()}
        self.assertEqual(parts["running/ready.txt"], "ready\n")
        prometheus.parse(parts["running/metrics.txt"].encode())
        self.assertIn(name, json.dumps(json.loads(parts["running/targets.json"])))
        self.assertIn("kernel", parts["probe.txt"].lower())
        self.assertIn("<secret>", parts["config.yaml"])
        self.assertIn("<secret>", parts["running/config.yaml"])
        self.assertIn(self.engine.inspect(name)["Id"][:12], parts["registered.txt"])
        for part, text in parts.items():
            self.assertNotIn("secret-", text.replace(secret, ""), part)
            self.assertNotIn("a-line-of-log", text, part)
        with open(f"/proc/{notail.pid}/cmdline", "rb") as file:
            self.assertNotIn(b"secret-", file.read())
        self.assertNotIn("secret-", notail.stderr().replace(secret, ""))
        # To where a container whose root is read-only can give it.
        done = subprocess.run([*command[:2], "-", *command[3:]], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.DEADLINE, check=False)
        self.assertIn(b"look into it", done.stderr)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            self.assertEqual({m.name.removeprefix("notail-support/") for m in tar.getmembers()}, set(parts))
        # Never over a file that is there.
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("File exists", done.stderr)


class Metrics(StatusTestCase):
    # Documented, and there only in a case that this test does not make.
    RARE = {"notail_hook_recursion_misses_total", "notail_hook_runs_total", "notail_hook_run_seconds_total",
            "notail_custom_", "notail_custom_series_refused_total", "notail_custom_NAME", "notail_engine_connected"}

    def documented(self):
        with open(os.path.join(harness.TOP, "docs/metrics.md"), encoding="utf-8") as file:
            text = file.read()
        return set(re.findall(r"\b((?:notail|process)_[a-zA-Z_]+)", text.replace("notail_custom_...", "notail_custom_")))

    def run_everything(self):
        receiver = self.receiver()
        path = self.file(f"""
server: {{listen: {LOCAL}}}
clients: [{{url: '{receiver.url}', name: main, batchwait: 10ms}}]
capture: {{containers: ['{self.name("all")}'], pins: 'off'}}
discovery:
  docker: {{host: '{self.engine.host}'}}
  kubernetes: {{source: kubelet, kubelet_url: 'http://127.0.0.1:9'}}
canary: {{interval: 1s}}
""")
        notail = self.plain_notail("run", "-c", path, "--spool-dir", harness.shared.path("spool-of-metrics"))
        name = self._containers[0]
        self.engine.start("busybox", "sh", "-c", "echo one; sleep 1000", name=name)
        harness.wait_for(
            lambda: (m := self.ask(notail, "/metrics").text) and "notail_canary_age_seconds{" in m
            and "notail_container_lines_total{" in m, what="all metrics")
        return notail

    def metrics_of_events(self):
        path = self.file("""
server: {metrics_listen: '127.0.0.1:0'}
clients: [{url: 'http://127.0.0.1:9', name: main}]
discovery: {kubernetes: {api_server: 'http://127.0.0.1:9'}}
""")
        notail = self.plain_notail("events", "-c", path, "--spool-dir", "off")
        port = re.search(r"metrics at http://127\.0\.0\.1:(\d+)", notail.stderr()).group(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=harness.DEADLINE) as answer:
            return answer.read().decode()

    def test_documented_and_well_formed(self):
        notail = self.run_everything()
        text = self.ask(notail, "/metrics").text
        prometheus.parse(text.encode())
        families = set(re.findall(r"^# TYPE (\S+) ", text + self.metrics_of_events(), re.M))
        documented = self.documented()
        self.assertEqual(families - documented, set(), "not in docs/metrics.md")
        self.assertEqual(documented - families - self.RARE, set(), "in docs/metrics.md, and nowhere else")
        answer = self.ask(notail, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        self.assertTrue(answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"))
        self.check_openmetrics(answer.text)
        promtool = shutil.which("promtool")
        if not promtool:
            print("SKIP promtool: not installed (Debian: prometheus)")
            return
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True,
                              timeout=harness.DEADLINE, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(notail.stop(), 0)

    def check_openmetrics(self, text):
        """Families once, with their TYPE first and their unit's name; counters' samples in _total; the end told."""
        self.assertTrue(text.endswith("\n# EOF\n"))
        family, kind, seen = None, None, set()
        for line in text[: -len("# EOF\n")].splitlines():
            if line.startswith("# TYPE "):
                family, kind = line.split(" ")[2:]
                self.assertNotIn(family, seen)
                self.assertFalse(family.endswith("_total"), line)
                seen.add(family)
            elif line.startswith("# UNIT "):
                self.assertTrue(line.split(" ")[2] == family and family.endswith("_" + line.split(" ")[3]), line)
            elif line.startswith("# HELP "):
                self.assertEqual(line.split(" ")[2], family)
            else:
                name = re.match(r"[a-z_]+", line).group()
                suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
                self.assertIn(name, [family + suffix for suffix in suffixes])


if __name__ == "__main__":
    unittest.main()
