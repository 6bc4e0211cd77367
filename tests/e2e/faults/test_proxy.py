# SPDX-License-Identifier: Apache-2.0
"""nginx before Loki: what it does not let through is told, waits, and goes when that is put right."""

import os
import shutil

import base
import harness
import proxy as proxy_module

NAME = "loki.test"
ENVIRON = {name: "" for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}


class Proxied(base.TestCase):
    def setUp(self):
        super().setUp()
        if proxy_module.missing():
            self.skipTest(f"not installed: {proxy_module.missing()}")
        self.directory = harness.shared.path("proxy")
        os.mkdir(self.directory)
        self.authority = proxy_module.Authority(self.directory)
        self.receiver = self.sink()
        self.proxy = proxy_module.Proxy(self.directory, self.receiver.port, self.authority.issue(NAME), base.free_port())
        self.addCleanup(self.proxy.stop)

    def client(self, **settings):
        """A notail that pushes to the proxy, with a writer; `settings` are the client's."""
        tls = {"ca_file": self.authority.certificate, "server_name": NAME, **settings.pop("tls_config", {})}
        self.settings = {"tls_config": {key: value for key, value in tls.items() if value}, **settings}
        self.running = self.daemon(self.proxy.url, client=self.settings)
        self.writing = self.load(1, rate=300, prompts=500)

    def wait_said(self, *texts):
        """Waits until notail tells of one of these."""
        base.wait_for(lambda: any(text in self.running.notail.stderr() for text in texts),
                      what=lambda: f"none of {texts}: {self.running.notail.stderr()}")

    def assert_through(self):
        stored = self.receiver.stats()["stored"]
        base.wait_for(lambda: self.receiver.stats()["stored"] > stored,
                      what=lambda: f"a push: {self.running.notail.stderr()}{self.proxy.log()}")
        self.writing.end()
        self.assert_delivered(self.writing, self.receiver)

    def assert_nothing(self):
        self.assertEqual(self.receiver.stats()["stored"], 0)

    def restart(self, **settings):
        """With other settings of the client; what it could not send is kept."""
        self.settings.update(settings)
        self.running.settings["clients"][0].update(settings)
        self.assertEqual(self.running.stop(), 0, self.running.notail.stderr())
        self.running.start()

    def test_tls(self):
        self.proxy.start()
        self.client()
        self.assert_through()

    def test_wrong_authority(self):
        other = proxy_module.Authority(self.directory, "other")
        self.proxy.settings["certificate"] = other.issue(NAME)
        self.proxy.start()
        self.client()
        self.wait_said("certificate")
        self.assert_nothing()
        self.proxy.change(certificate=self.authority.issue(NAME))
        self.assert_through()

    def test_expired(self):
        self.proxy.settings["certificate"] = self.authority.issue(NAME, expired=True)
        self.proxy.start()
        self.client()
        self.wait_said("expired")
        self.assert_nothing()
        self.proxy.change(certificate=self.authority.issue(NAME))
        self.assert_through()

    def test_wrong_name(self):
        self.proxy.settings["certificate"] = self.authority.issue("other.test")
        self.proxy.start()
        self.client()
        self.wait_said(NAME)
        self.assert_nothing()
        self.proxy.change(certificate=self.authority.issue(NAME))
        self.assert_through()

    def test_rotated_certificate(self):
        """A new one of the same authority, in the middle."""
        self.proxy.start()
        self.client()
        base.wait_for(lambda: self.receiver.stats()["stored"] > 0, what="a push")
        self.proxy.change(certificate=self.authority.issue(NAME))
        self.assert_through()

    def test_rotated_authority(self):
        """ca_file is replaced, then the certificate: notail is not restarted."""
        trusted = os.path.join(self.directory, "trusted.pem")
        shutil.copy(self.authority.certificate, trusted)
        self.proxy.start()
        self.client(tls_config={"ca_file": trusted})
        base.wait_for(lambda: self.receiver.stats()["stored"] > 0, what="a push")
        other = proxy_module.Authority(self.directory, "other")
        shutil.copy(other.certificate, trusted + ".new")
        os.rename(trusted + ".new", trusted)
        self.proxy.change(certificate=other.issue(NAME))
        self.assert_through()

    def test_client_certificate(self):
        mine = self.authority.issue("client.test")
        self.proxy.settings["client_ca"] = self.authority.certificate
        self.proxy.start()
        self.client(tls_config={"cert_file": mine.certificate, "key_file": mine.key})
        self.assert_through()

    def test_no_client_certificate(self):
        """nginx says 400 to that: nothing of the lines' is wrong, so they are not given up."""
        self.proxy.settings["client_ca"] = self.authority.certificate
        self.proxy.start()
        self.client()
        self.wait_said("No required SSL certificate", "400")
        self.assert_nothing()
        self.proxy.change(client_ca=None)
        self.assert_through()

    def test_basic_auth(self):
        self.proxy.settings["users"] = {"me": "right"}
        self.proxy.start()
        self.client(basic_auth={"username": "me", "password": "right"})
        self.assert_through()
        self.assertNotIn("right", self.running.notail.stderr())

    def test_wrong_password(self):
        password = os.path.join(self.directory, "password")
        self.write(password, "wr0ng")
        self.proxy.settings["users"] = {"me": "right"}
        self.proxy.start()
        self.client(basic_auth={"username": "me", "password_file": password})
        self.wait_said("401")
        self.assert_nothing()
        self.write(password, "right\n")
        self.assert_through()
        self.assertNotIn("wr0ng", self.running.notail.stderr())

    def test_rotated_token(self):
        token = os.path.join(self.directory, "token")
        self.write(token, "t0ken1\n")
        self.proxy.settings["tokens"] = ["t0ken1"]
        self.proxy.start()
        self.client(bearer_token_file=token)
        base.wait_for(lambda: self.receiver.stats()["stored"] > 0, what="a push")
        self.proxy.change(tokens=["t0ken2"])
        base.wait_for(lambda: 401 in self.proxy.answers(), what="a 401")
        self.write(token, "t0ken2\n")
        self.assert_through()
        self.assertNotIn("t0ken", self.running.notail.stderr())

    @staticmethod
    def write(path, text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def test_receiver_away(self):
        """502 while nobody is behind it."""
        self.proxy.start()
        self.client()
        base.wait_for(lambda: self.receiver.stats()["stored"] > 0, what="a push")
        self.receiver.down()
        base.wait_for(lambda: 502 in self.proxy.answers(), what="a 502")
        self.receiver.up()
        self.assert_through()

    def test_receiver_hangs(self):
        """504 where what is behind it does not answer."""
        self.proxy.settings["read_timeout"] = "1s"
        self.proxy.start()
        self.client()
        self.receiver.plan(1.0, ["hang"])
        base.wait_for(lambda: 504 in self.proxy.answers(), what="a 504")
        self.receiver.plan(0.0)
        self.assert_through()
