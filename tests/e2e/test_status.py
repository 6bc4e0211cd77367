# SPDX-License-Identifier: Apache-2.0
"""The status server: its paths, who may ask, what it says of real containers, reload by request."""

import base64
import errno
import html
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest

import harness
import prometheus

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_receiver import Receiver  # noqa: E402

FOR_EVER = "while :; do echo again; sleep 0.05; done"
LOCAL = "127.0.0.1:0"
PATHS = {
    "/": "text/html; charset=utf-8",
    "/targets": "application/json",
    "/config": "text/plain; charset=utf-8",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/ready": "text/plain; charset=utf-8",
    "/healthz": "text/plain; charset=utf-8",
}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.body = response.read()
        self.headers = response.headers

    @property
    def text(self):
        return self.body.decode()


class StatusTestCase(harness.TestCase):
    def address(self, notail, what="status page"):
        """Where it listens, as it says on stderr."""
        found = re.search(rf"{what} at http://(127\.0\.0\.1:\d+)$", notail.stderr(), re.M)
        self.assertTrue(found, notail.stderr())
        return found.group(1)

    def ask(self, notail, path, method="GET", what="status page", **headers):
        connection = http.client.HTTPConnection(self.address(notail, what), timeout=harness.DEADLINE)
        self.addCleanup(connection.close)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())

    def targets(self, notail):
        answer = self.ask(notail, "/targets")
        self.assertEqual(answer.status, 200)
        return json.loads(answer.body)

    def target(self, notail, name):
        """None: not there, or not yet."""
        found = [t for t in self.targets(notail)["targets"] if t["name"] == name]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None

    def metrics(self, notail, **keywords):
        return prometheus.parse(self.ask(notail, "/metrics", **keywords).body)

    def receiver(self):
        one = Receiver()
        self.addCleanup(one.stop)
        return one.start()

    def busy_port(self):
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        held.listen()
        self.addCleanup(held.close)
        return held.getsockname()[1]


class Status(StatusTestCase):
    def test_paths(self):
        notail = self.notail("--listen", LOCAL)
        for path, kind in PATHS.items():
            answer = self.ask(notail, path)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.headers["Content-Type"], kind, path)
            self.assertTrue(answer.headers["Content-Security-Policy"].startswith("default-src 'none'"), path)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff", path)
            self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))
            head = self.ask(notail, path, "HEAD")
            self.assertEqual((head.status, head.body), (200, b""), path)
            posted = self.ask(notail, path, "POST")
            self.assertEqual((posted.status, posted.headers["Allow"]), (405, "GET, HEAD"), path)
        for path in "/nothing", "/targets/", "//", "/../config":
            self.assertEqual(self.ask(notail, path).status, 404, path)
        self.assertEqual(self.ask(notail, "/targets?of=something").status, 200)
        self.assertEqual(notail.stop(), 0)

    def test_hosts(self):
        notail = self.notail("--listen", LOCAL)
        for host in "localhost", "127.0.0.1:1", "[::1]:9464":
            self.assertEqual(self.ask(notail, "/config", Host=host).status, 200, host)
        for host in "example.com", "localhost.example.com", "10.0.0.1", "":
            for path in PATHS:
                self.assertEqual(self.ask(notail, path, Host=host).status, 403, host)

    def test_nothing_listens_unasked(self):
        notail = self.notail()
        inodes = set()
        for fd in os.listdir(f"/proc/{notail.pid}/fd"):
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{notail.pid}/fd/{fd}"))
            inodes |= {found.group(1)} if found else set()
        for table in "tcp", "tcp6":
            with open(f"/proc/{notail.pid}/net/{table}", encoding="ascii") as file:
                listening = {line.split()[9] for line in file.readlines()[1:] if line.split()[3] == "0A"}
            self.assertFalse(listening & inodes)

    def test_off(self):
        url = self.receiver().url
        for arguments in ("--listen", "off"), ("-c", self.file("server: {listen: 'off'}\n")):
            notail = self.plain_notail("run", "--loki", url, "--no-docker", "--container", self.name("none"), *arguments)
            self.assertNotIn("http://127.0.0.1:9464", notail.stderr())
            self.assertNotIn("status page", notail.stderr())
            self.assertEqual(notail.stop(), 0)

    def test_metrics_alone(self):
        path = self.file(f"server: {{listen: {LOCAL}, metrics_listen: {LOCAL}}}\n")
        notail = self.notail("-c", path)
        for name in PATHS:
            status = self.ask(notail, name, what="metrics", Host="pod.example").status
            self.assertEqual(status, 200 if name in ("/metrics", "/ready", "/healthz") else 404, name)
        self.assertEqual(self.ask(notail, "/-/reload", "POST", what="metrics").status, 404)
        self.metrics(notail, what="metrics")

    def test_port_in_use(self):
        port = self.busy_port()
        listen = f"127.0.0.1:{port}"
        path = self.file(f"clients: [{{url: 'http://127.0.0.1:9'}}]\nserver: {{listen: '{listen}'}}\n")
        for arguments in ("--stdout", "--listen", listen), ("run", "-c", path):
            notail = self.plain_notail(*arguments, "--no-docker", "--container", self.name("none"), wait=False)
            self.assertEqual(notail.wait(), 1)
            self.assertIn(listen, notail.stderr())
            self.assertIn(os.strerror(errno.EADDRINUSE), notail.stderr())
            self.assertNotIn("notail: ready", notail.stderr())
        # The service may have it: who looks at lines goes on.
        notail = self.plain_notail("--stdout", "-c", path, "--no-docker", "--container", self.name("none"))
        self.assertIn(f"no status page: {listen}", notail.stderr())
        self.assertEqual(notail.stop(), 0)

    def test_default_port_in_use(self):
        held = socket.socket()
        self.addCleanup(held.close)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", 9464))
            held.listen()
        except OSError as error:  # somebody else has it: as good
            self.assertEqual(error.errno, errno.EADDRINUSE)
        url = self.receiver().url
        notail = self.plain_notail("run", "--loki", url, "--no-docker", "--container", self.name("none"))
        self.assertIn("no status page: 127.0.0.1:9464", notail.stderr())
        self.assertEqual(notail.stop(), 0)

    def test_command(self):
        notail = self.plain_notail("--stdout", "--listen", LOCAL, "--", "sh", "-c", "echo hello; sleep 60")
        one = harness.wait_for(
            lambda: [s for t in self.targets(notail)["targets"] for s in t["streams"] if s["lines"] == 1], what="a line"
        )
        self.assertEqual(one[0]["labels"]["container"], "sh")
        self.assertIn("single process", self.targets(notail)["engine"]["problem"])

    def test_no_engine(self):
        socket_path = harness.shared.path("no.sock")
        notail = self.plain_notail("--stdout", "--listen", LOCAL, "--docker", "unix://" + socket_path,
                                   "--container", self.name("none"))
        engine = harness.wait_for(lambda: (e := self.targets(notail)["engine"])["problem"] and e, what="the reason")
        self.assertFalse(engine["connected"])
        self.assertIn(html.escape(engine["problem"], quote=True), self.ask(notail, "/").text)
        self.assertEqual(prometheus.value(self.metrics(notail), "notail_engine_connected"), 0)


class Targets(StatusTestCase):
    needs_programs = ("writer",)

    def test_streams(self):
        notail = self.notail("--listen", LOCAL)
        name, quiet = self.name("web"), self.name("quiet")
        self.engine.start("busybox", "sh", "-c", "echo one; echo two; echo bad >&2; sleep 1000", name=name,
                          options=["--label", "com.docker.compose.service=<b>&\"'"])
        self.engine.start("busybox", "sleep", "1000", name=quiet)
        notail.wait_lines(name, "stdout", [b"one", b"two"])
        notail.wait_lines(name, "stderr", [b"bad"])
        one = harness.wait_for(lambda: self.target(notail, name), what=name)
        self.assertEqual(one["container_id"], self.engine.inspect(name)["Id"])
        self.assertEqual(one["state"], "captured")
        self.assertEqual(one["engine"], "docker")
        out, err = one["streams"]
        self.assertEqual((out["stream"], err["stream"]), ("stdout", "stderr"))
        self.assertEqual((out["lines"], out["written_bytes"], out["read_bytes"], out["lost_bytes"]), (2, 8, 8, 0))
        self.assertEqual((err["lines"], err["written_bytes"], err["read_bytes"]), (1, 4, 4))
        self.assertEqual(out["tap"], "read")
        self.assertIn("containerd-shim", out["why"])
        self.assertEqual(out["labels"]["compose_service"], "<b>&\"'")
        self.assertEqual(out["labels"]["stream"], "stdout")
        harness.wait_for(lambda: self.target(notail, quiet), what=quiet)
        page = self.ask(notail, "/").text
        for text in name, quiet, "&lt;b&gt;&amp;&quot;&#39;", "no line yet", "containerd-shim":
            self.assertTrue(text in page, text)
        self.assertFalse("<bdi><b>" in page)
        series = self.metrics(notail)
        self.assertGreaterEqual(prometheus.value(series, "notail_lines_total"), 3)
        self.assertEqual(prometheus.value(series, "notail_lost_bytes_total", reason="ring_full"), 0)

    def test_excluded(self):
        path = self.file(r"""
relabel_configs:
- {source_labels: [__meta_docker_container_name], regex: '.*-ruled', action: drop}
- {source_labels: [__meta_docker_container_name, __meta_notail_stream], regex: '.*-half;stderr', action: drop}
""")
        notail = self.notail("-c", path, "--listen", LOCAL)
        labelled, ruled, half = self.name("labelled"), self.name("ruled"), self.name("half")
        self.engine.start("busybox", "sh", "-c", FOR_EVER, name=labelled, options=["--label", "notail.io/exclude=true"])
        self.engine.start("busybox", "sh", "-c", FOR_EVER, name=ruled)
        self.engine.start("busybox", "sh", "-c", "echo out; echo err >&2; sleep 1000", name=half)

        def state(name):
            target = self.target(notail, name)
            return target and target["state"] == "excluded" and target["excluded_by"]

        self.assertEqual(harness.wait_for(lambda: state(labelled), what=labelled), "notail.io/exclude")
        self.assertEqual(harness.wait_for(lambda: state(ruled), what=ruled), "rules")
        notail.wait_lines(half, "stdout", [b"out"])
        harness.wait_for(
            lambda: [s["state"] for s in self.target(notail, half)["streams"]] == ["captured", "dropped"], what=half
        )
        page = self.ask(notail, "/").text
        self.assertIn("by <code><bdi>notail.io/exclude</bdi></code>", page)

    def test_guard(self):
        path = self.file(r"""
limits: {label_values: 3}
pipeline_stages:
- logfmt: {mapping: {request: }}
- labels: {request: }
- metrics:
    requests: {type: Histogram, description: "of \"all\"\nkinds", source: request, config: {buckets: [1, 3]}}
""")
        notail = self.notail("-c", path, "--listen", LOCAL)
        name = self.name("guard")
        self.engine.start("busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo request=$i; done; sleep 1000", name=name)
        notail.wait_lines(name, "stdout", [b"request=%d" % i for i in range(1, 6)])
        (label,) = harness.wait_for(lambda: self.targets(notail)["guarded_labels"], what="the label")
        self.assertEqual(label["label"], "request")
        series = self.metrics(notail)
        self.assertEqual(prometheus.value(series, "notail_guard_trips_total"), 1)
        self.assertIn("Too many values", self.ask(notail, "/").text)
        self.assertEqual(len(re.findall("label request has more than", notail.stderr())), 1)
        counts = [v for (n, _), v in series.items() if n == "notail_custom_requests_count"]
        self.assertEqual(sum(counts), 5)


class Reload(StatusTestCase):
    def start(self, enabled=True):
        text = f"server: {{listen: {LOCAL}, enable_runtime_reload: {'true' if enabled else 'false'}}}\n"
        path = self.file(text + "external_labels: {color: red}\n")
        return path, text, self.notail("-c", path)

    def color(self, notail, name):
        """Of the newest line."""
        entries = notail.of(name)
        return entries[-1].labels["color"] if entries else None

    def test_not_enabled(self):
        path, text, notail = self.start(enabled=False)
        self.rewrite(path, text + "external_labels: {color: blue}\n")
        answer = self.ask(notail, "/-/reload", "POST")
        self.assertEqual(answer.status, 403)
        self.assertIn("server.enable_runtime_reload", answer.text)
        self.assertIn("color: red", self.ask(notail, "/config").text)

    def test_reload(self):
        path, text, notail = self.start()
        name = self.name("reload")
        self.engine.start("busybox", "sh", "-c", FOR_EVER, name=name)
        harness.wait_for(lambda: self.color(notail, name) == "red", what="the first")
        self.rewrite(path, text + "external_labels: {color: blue}\n")
        for headers in {"Origin": "http://example.com"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "example.com"}:
            self.assertEqual(self.ask(notail, "/-/reload", "POST", **headers).status, 403)
        self.assertEqual(self.ask(notail, "/-/reload").status, 405)
        self.assertIn("color: red", self.ask(notail, "/config").text)

        answer = self.ask(notail, "/-/reload", "POST", Origin="http://" + self.address(notail))
        self.assertEqual((answer.status, answer.text), (200, path + " is in force\n"))
        harness.wait_for(lambda: self.color(notail, name) == "blue", what="the second")
        self.assertIn("color: blue", self.ask(notail, "/config").text)

        self.rewrite(path, text + "external_labels: {color: green}\nrelabel_configs: [{target_label: a, regex: '('}]\n")
        answer = self.ask(notail, "/-/reload", "POST")
        self.assertEqual(answer.status, 500)
        self.assertIn("relabel_configs[0].regex", answer.text)
        self.assertIn("color: blue", self.ask(notail, "/config").text)
        self.assertIn("relabel_configs[0].regex", self.targets(notail)["config"]["problem"])
        self.assertIn("relabel_configs[0].regex", html.unescape(self.ask(notail, "/").text))
        series = self.metrics(notail)
        self.assertEqual(prometheus.value(series, "notail_config_last_reload_successful"), 0)
        self.assertEqual(prometheus.value(series, "notail_reload_failures_total"), 1)
        self.assertEqual(prometheus.value(series, "notail_reloads_total"), 1)
        before = len(notail.of(name))
        harness.wait_for(lambda: len(notail.of(name)) > before + 3, what="more lines")
        self.assertEqual(self.color(notail, name), "blue")

        self.rewrite(path, text.replace(LOCAL, "'127.0.0.1:1'"))
        answer = self.ask(notail, "/-/reload", "POST")
        self.assertEqual(answer.status, 500)
        self.assertIn("server takes a restart", answer.text)

        # The same by a signal, and all is well again.
        self.rewrite(path, text + "external_labels: {color: green}\n")
        notail.process.send_signal(signal.SIGHUP)
        harness.wait_for(lambda: self.color(notail, name) == "green", what="the third")
        self.assertIsNone(self.targets(notail)["config"]["problem"])
        self.assertEqual(prometheus.value(self.metrics(notail), "notail_config_last_reload_successful"), 1)
        self.assertEqual(notail.stop(), 0)

    def test_no_file(self):
        notail = self.notail("--listen", LOCAL)
        self.assertEqual(self.ask(notail, "/-/reload", "POST").status, 403)
        self.assertIn("preset: auto", self.ask(notail, "/config").text)

    def test_secrets_and_clients(self):
        receiver = self.receiver()
        dead = f"http://user:geheim@127.0.0.1:{self.dead_port()}"
        path = self.file(f"""
server: {{listen: {LOCAL}}}
clients:
- {{url: '{receiver.url}', name: good, batchwait: 10ms, headers: {{X-Key: geheim}}}}
- {{url: '{dead}', tenant_id: t}}
capture: {{containers: ['{self.name("sent")}']}}
discovery: {{docker: {{host: '{self.engine.host}'}}}}
""")
        notail = self.plain_notail("run", "-c", path)
        name = self._containers[0]
        self.engine.start("busybox", "sh", "-c", FOR_EVER, name=name)
        config = self.ask(notail, "/config").text
        self.assertIn("<secret>", config)

        def both():
            good, bad = self.targets(notail)["clients"]
            return good["lines"] and bad["problem"] and (good, bad)

        good, bad = harness.wait_for(both, what="both clients")
        self.assertEqual(good["name"], "good")
        self.assertIsNone(good["problem"])
        self.assertEqual(bad["lines"], 0)
        series = self.metrics(notail)
        self.assertEqual(prometheus.value(series, "notail_client_up", client="good"), 1)
        host = dead.rpartition("@")[2]
        self.assertEqual(prometheus.value(series, "notail_client_up", client=host), 0)
        refused = prometheus.value(series, "notail_client_failed_requests_total", client=host, reason="connection")
        self.assertGreater(refused, 0)
        self.assertGreater(prometheus.value(series, "notail_write_to_ack_seconds_count", client="good"), 0)
        for path in PATHS:
            self.assertNotIn("geheim", self.ask(notail, path).text, path)

    def dead_port(self):
        """One that refuses: it is bound, and nobody listens."""
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        self.addCleanup(held.close)
        return held.getsockname()[1]


class Guards(StatusTestCase):
    """TLS and users."""

    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("not installed: openssl, which makes certificates")

    def certificate(self, name, subject):
        """Its certificate and key; the same files when it is called again."""
        paths = [harness.shared.path(f"status-{os.getpid()}-{name}.{kind}") for kind in ("crt", "key")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", f"/CN={subject}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0] + ".new",
             "-keyout", paths[1] + ".new"],
            stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60)
        for path in paths:
            os.rename(path + ".new", path)
        return paths

    def fetch(self, notail, path, context, user=None):
        address = re.search(r"status page at https://(\S+)", notail.stderr()).group(1)
        connection = http.client.HTTPSConnection(address, timeout=harness.DEADLINE, context=context)
        self.addCleanup(connection.close)
        token = base64.b64encode(user.encode()).decode() if user else None
        connection.request("GET", path, headers={"Authorization": "Basic " + token} if token else {})
        return Answer(connection.getresponse())

    def test_tls_and_users(self):
        mine, key = self.certificate("server", "first")
        clients, clients_key = self.certificate("client", "client")
        secret = self.file("right\n")
        path = self.file(f"""
server:
  listen: {LOCAL}
  http_tls_config: {{cert_file: {mine}, key_file: {key}, client_ca_file: {clients}}}
  basic_auth: {{username: me, password_file: {secret}}}
""")
        notail = self.notail("-c", path)
        context = ssl.create_default_context(cafile=mine)
        with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            self.fetch(notail, "/ready", context)  # without a certificate of its own
        context.load_cert_chain(clients, clients_key)
        for name in "/ready", "/healthz":
            self.assertEqual(self.fetch(notail, name, context).status, 200)
        for name in "/metrics", "/config", "/nothing":
            for user in None, "me:wrong", "me:righ", "me:right!", "you:right", "me", "":
                answer = self.fetch(notail, name, context, user)
                self.assertEqual(answer.status, 401, (name, user))
                self.assertIn("Basic realm=", answer.headers["WWW-Authenticate"])
        self.assertEqual(self.fetch(notail, "/metrics", context, "me:right").status, 200)
        self.rewrite(secret, "other\n")
        self.assertEqual(self.fetch(notail, "/metrics", context, "me:right").status, 401)
        self.assertEqual(self.fetch(notail, "/metrics", context, "me:other").status, 200)

        # Another certificate in its place, read again without a restart.
        self.certificate("server", "second")

        def renewed():
            other = ssl.create_default_context(cafile=mine)
            other.load_cert_chain(clients, clients_key)
            try:
                return self.fetch(notail, "/ready", other).status == 200
            except ssl.SSLError:
                return False

        harness.wait_for(renewed, what="the second certificate")
        # What is no certificate does not take its place.
        self.rewrite(mine, "no certificate\n")
        harness.wait_for(lambda: not self.fails(notail, context) or "is not used" in notail.stderr(), what="the refusal")
        self.assertNotIn("right", notail.stderr())
        self.assertEqual(notail.stop(), 0)

    def fails(self, notail, context):
        try:
            self.fetch(notail, "/ready", context)
        except ssl.SSLError:
            return True
        return False

    def test_wrong_files(self):
        path = self.file(f"""
clients: [{{url: 'http://127.0.0.1:9'}}]
server: {{listen: {LOCAL}, http_tls_config: {{cert_file: {self.file("x")}, key_file: {self.file("y")}}}}}
""")
        notail = self.plain_notail("run", "-c", path, "--no-docker", "--container", self.name("none"), wait=False)
        self.assertEqual(notail.wait(), 1)
        self.assertIn("server.http_tls_config: ", notail.stderr())


if __name__ == "__main__":
    unittest.main()
