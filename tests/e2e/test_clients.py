# SPDX-License-Identifier: Apache-2.0
"""How clients reach and convince what they push to: names of certificates, Authorization headers, OAuth 2."""

import http.server
import os
import re
import shutil
import ssl
import subprocess
import threading

import harness

NAME = "loki.test"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.versions.append(self.connection.version())
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answer = self.server.answers.pop(0) if self.server.answers else (204, b"")
        self.send_response(answer[0])
        if answer[0] != 204:
            self.send_header("content-length", str(len(answer[1])))
        self.end_headers()
        if answer[0] != 204:
            self.wfile.write(answer[1])

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """TLS, for NAME; `names` are those that clients asked for, `answers` (status, body) what comes before 204."""

    daemon_threads = True

    def __init__(self, certificate, key):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.names, self.answers, self.versions = [], [], [], []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.address = "127.0.0.1:%d" % self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # clients that do not like the certificate


class Clients(harness.TestCase):
    needs_engine = False

    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("not installed: openssl, which makes certificates")
        self.certificate, key = self.make_certificate("test")
        self.server = Server(self.certificate, key)
        self.addCleanup(self.server.server_close)
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(self.server.shutdown)

    def openssl(self, *words):
        done = subprocess.run(["openssl", *words], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60)
        return done.stdout.decode()

    def make_certificate(self, subject):
        """The files of a certificate for NAME, signed by itself, and of its key."""
        certificate, key = harness.shared.path("certificate"), harness.shared.path("key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", certificate)
        return certificate, key

    def start(self, client, prefix=()):
        """notail that runs with a client, given in YAML behind its url, to push a line."""
        path = self.file(f'clients: [{{url: "https://{self.server.address}", {client}}}]\n')
        environment = {name: "" for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
        return self.plain_notail("-c", path, "--", "echo", "hi", wait=False, env=environment, prefix=prefix)

    def push(self, client, prefix=()):
        notail = self.start(client, prefix)
        notail.wait()
        return notail

    def assert_refused(self, client, word, prefix=()):
        """It says why it does not push, and would try for as long as it may."""
        seen = len(self.server.seen)
        notail = self.start(client, prefix)
        said = lambda: re.search(rf"{self.server.address}.*{re.escape(word)}", notail.stderr())
        harness.wait_for(lambda: said() or notail.process.poll() is not None, what=notail.stderr)
        self.assertTrue(said(), notail.stderr())
        self.assertIsNone(notail.process.poll(), notail.stderr())
        notail.kill()
        self.assertEqual(len(self.server.seen), seen)

    def tls(self, name, authority=None):
        return f'tls_config: {{ca_file: "{authority or self.certificate}", server_name: {name}}}'

    def test_server_name(self):
        notail = self.push(self.tls(NAME))
        self.assertEqual(notail.process.returncode, 0, notail.stderr())
        self.assertEqual(self.server.names, [NAME])
        (path, headers, _), = self.server.seen
        self.assertEqual(path, "/loki/api/v1/push")
        self.assertEqual(headers["host"], self.server.address)

    def test_certificate_itself(self):
        """ca in place of ca_file."""
        with open(self.certificate, encoding="ascii") as file:
            text = file.read().replace("\n", "\\n")
        notail = self.push(f'tls_config: {{ca: "{text}", server_name: {NAME}}}')
        self.assertEqual(notail.process.returncode, 0, notail.stderr())
        self.assertEqual(len(self.server.seen), 1)

    def test_authorities_of_the_system(self):
        """They are trusted where there is no ca_file, and not beside one."""
        directory = harness.shared.path("certs")
        os.mkdir(directory)
        name = self.openssl("x509", "-noout", "-hash", "-in", self.certificate).strip() + ".0"
        for file in (name, "ca-certificates.crt"):
            shutil.copy(self.certificate, os.path.join(directory, file))
        prefix = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', directory]
        notail = self.push(f"tls_config: {{server_name: {NAME}}}", prefix)
        self.assertEqual(len(self.server.seen), 1, notail.stderr())
        self.assert_refused(self.tls(NAME, self.make_certificate("other")[0]), "certificate", prefix)

    def test_versions(self):
        for versions, expected in (("max_version: TLS12", ["TLSv1.2"]), ("min_version: TLS13", ["TLSv1.3"]),
                                   ("min_version: TLS12, max_version: TLS12", ["TLSv1.2"])):
            self.server.versions.clear()
            self.push(self.tls(NAME)[:-1] + f", {versions}}}")
            self.assertEqual(self.server.versions, expected)

    def test_server_name_of_another(self):
        self.assert_refused(self.tls("other.test"), "other.test")
        self.assertEqual(set(self.server.names), {"other.test"})

    def test_certificate_of_another_name(self):
        self.assert_refused(f'tls_config: {{ca_file: "{self.certificate}"}}', "127.0.0.1")

    def test_authorization(self):
        secret = self.file("s3cret\n")
        for client, expected in ((f'authorization: {{type: Token, credentials_file: "{secret}"}}', "Token s3cret"),
                                 ("authorization: {credentials: abc}", "Bearer abc"),
                                 ("authorization: {type: abc}", "abc")):
            notail = self.push(f"{client}, {self.tls(NAME)}")
            self.assertEqual(notail.process.returncode, 0, notail.stderr())
            self.assertEqual(self.server.seen[-1][1]["authorization"], expected)
            self.assertNotIn("s3cret", notail.stderr())

    def test_tokens(self):
        """A token that Loki does not take is renewed before the line is given up."""
        secret = self.file("s3cret\n")
        token = b'{"access_token": "%s", "token_type": "Bearer", "expires_in": 3600}'
        self.server.answers = [(200, token % b"one"), (401, b"expired"), (200, token % b"two")]
        notail = self.push(
            f'oauth2: {{client_id: me, client_secret_file: "{secret}", token_url: "https://{self.server.address}/token", '
            f'scopes: [a, b], endpoint_params: {{audience: logs}}, {self.tls(NAME)}}}, {self.tls(NAME)}')
        self.assertEqual(notail.process.returncode, 0, notail.stderr())
        asked = (b"grant_type=client_credentials&scope=a+b&audience=logs", "Basic bWU6czNjcmV0")
        seen = [(path, headers["authorization"]) for path, headers, _ in self.server.seen]
        self.assertEqual(seen, [("/token", asked[1]), ("/loki/api/v1/push", "Bearer one"), ("/token", asked[1]),
                                ("/loki/api/v1/push", "Bearer two")])
        self.assertEqual([body for path, _, body in self.server.seen if path == "/token"], [asked[0]] * 2)
        self.assertNotIn("s3cret", notail.stderr())
