# SPDX-License-Identifier: Apache-2.0
"""nginx as what stands before a Loki: TLS, client certificates, users and tokens, on a port of 127.0.0.1.

    authority = Authority(directory)
    proxy = Proxy(directory, upstream_port, certificate=authority.issue("loki.test"), client_ca=authority.certificate)
    proxy.start()                           # proxy.url
    proxy.change(users={"me": "secret"})    # and reloads
"""

import os
import shutil
import signal
import socket
import subprocess
import time

from certificates import Authority, openssl  # noqa: F401

CONFIG = """
daemon off;
master_process on;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
events {{ worker_connections 256; }}
http {{
	access_log {directory}/access.log;
	client_body_temp_path {directory}/body;
	proxy_temp_path {directory}/proxy;
	fastcgi_temp_path {directory}/fastcgi;
	uwsgi_temp_path {directory}/uwsgi;
	scgi_temp_path {directory}/scgi;
	client_max_body_size 100m;
	map $http_authorization $known {{
		default {default};
{tokens}
	}}
	server {{
		listen 127.0.0.1:{port} ssl;
		ssl_certificate {certificate};
		ssl_certificate_key {key};
		ssl_session_cache off;
		ssl_session_tickets off;
{server}
		location / {{
			if ($known = 0) {{ return 401; }}
			proxy_pass http://127.0.0.1:{upstream};
			proxy_http_version 1.1;
			proxy_read_timeout {read_timeout};
			proxy_connect_timeout 1s;
			proxy_next_upstream off;
		}}
	}}
}}
"""


def missing():
    """What is not installed, as a text; empty when all is there."""
    gone = [name for name in ("nginx", "openssl") if not program(name)]
    return ", ".join(gone)


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Proxy:
    def __init__(self, directory, upstream, certificate, port):
        self.directory = directory
        self.process = None
        self.settings = {"upstream": upstream, "certificate": certificate, "client_ca": None, "users": None, "tokens": None,
                         "read_timeout": "60s"}
        self.port = port

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def write(self):
        own = self.settings
        server = ""
        if own["client_ca"]:
            server += f"\t\tssl_client_certificate {own['client_ca']};\n\t\tssl_verify_client on;\n"
        if own["users"] is not None:
            path = os.path.join(self.directory, "users")
            with open(path, "w", encoding="ascii") as file:
                for user, password in own["users"].items():
                    file.write(f"{user}:{openssl('passwd', '-apr1', password).strip()}\n")
            server += f"\t\tauth_basic loki;\n\t\tauth_basic_user_file {path};\n"
        tokens = own["tokens"]
        text = CONFIG.format(
            directory=self.directory, port=self.port, certificate=own["certificate"].certificate,
            key=own["certificate"].key, upstream=own["upstream"], server=server, read_timeout=own["read_timeout"],
            default=1 if tokens is None else 0, tokens="".join(f'\t\t"Bearer {one}" 1;\n' for one in tokens or ()))
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def start(self):
        path = self.write()
        self.process = subprocess.Popen(
            [program("nginx"), "-c", path, "-p", self.directory, "-e", os.path.join(self.directory, "error.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.wait()
        return self

    def wait(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"nginx does not listen: {self.log()}") from None
                time.sleep(0.05)

    def change(self, **settings):
        """Other settings; it is started anew, so that no connection of the old ones is left."""
        self.stop()
        self.settings.update(settings)
        self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def answers(self):
        """The statuses it gave, in order."""
        try:
            with open(os.path.join(self.directory, "access.log"), encoding="utf-8", errors="replace") as file:
                return [int(line.split('" ')[1].split()[0]) for line in file if '" ' in line]
        except OSError:
            return []

    def log(self):
        try:
            with open(os.path.join(self.directory, "error.log"), encoding="utf-8", errors="replace") as file:
                return file.read()[-2000:]
        except OSError:
            return ""
