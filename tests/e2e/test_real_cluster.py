# SPDX-License-Identifier: Apache-2.0
"""A pod of a real cluster, where KUBECONFIG names one that this host is a node of (kind's and k3s' are).

Of the file the first cluster and user are taken; KUBE_IMAGE is an image that the node can get (busybox:1.36).
"""

import base64
import http.client
import json
import os
import re
import socket
import ssl
import urllib.parse

import harness
import kube_case
from loki_client import ReceiverTarget
from loki_receiver import Receiver

CONFIG = """\
preset: kubernetes
clients:
  - url: {loki}
discovery:
  docker:
    enabled: false
  kubernetes:
    source: api
    node_name: {node}
    api_server: {url}
    token_file: {token}
    tls_config:
      ca_file: {ca}
      cert_file: {cert}
      key_file: {key}
relabel_configs:
  - source_labels: [__meta_kubernetes_pod_name]
    regex: {pod}
    action: keep
"""


class Access:
    """What a kubeconfig says: the files are read from where it says, or made of its data."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.url = self.field("server")
        self.ca = self.file("certificate-authority")
        self.cert, self.key = self.file("client-certificate"), self.file("client-key")
        self.token = self.field("token")

    def field(self, name):
        found = re.search(rf"""^[ "-]*{name}"?: *"?([^\s",]+)""", self.text, re.M)
        return found.group(1) if found else None

    def file(self, name):
        data, path = self.field(name + "-data"), self.field(name)
        if not data:
            return path
        path = harness.shared.path(name)
        with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(base64.b64decode(data))
        return path

    def ask(self, method, path, body=None):
        """(status, text)"""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        where = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPSConnection(where.hostname, where.port or 443, context=context, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()


class RealCluster(harness.TestCase):
    needs_engine = False

    def setUp(self):
        if not os.environ.get("KUBECONFIG"):
            self.skipTest("KUBECONFIG names no cluster")
        super().setUp()
        self.access = Access(os.environ["KUBECONFIG"])
        status, text = self.access.ask("GET", "/api/v1/nodes")
        self.assertEqual(status, 200, text)
        nodes = [node["metadata"]["name"] for node in json.loads(text)["items"]]
        if socket.gethostname() not in nodes:
            self.skipTest(f"this host is none of the cluster's nodes: {', '.join(nodes)}")
        self.node = socket.gethostname()

    def start(self, target, pod):
        token = harness.shared.path("token")
        with open(token, "w", encoding="ascii") as file:
            file.write(self.access.token or "")
        quoted = {name: json.dumps(getattr(self.access, name)) for name in ("url", "ca", "cert", "key")}
        text = CONFIG.format(loki=target.url, node=self.node, pod=pod, token=token if self.access.token else "null", **quoted)
        return self.plain_notail("run", "-c", self.file(text), "--listen", "off", "--log-level", "debug")

    def test_pod(self):
        """Its lines are those of its log, with the labels that its object says."""
        name = f"notail-e2e-{harness.RUN_ID}"
        pods = "/api/v1/namespaces/default/pods"
        target = ReceiverTarget(Receiver())
        target.__enter__()
        self.addCleanup(target.__exit__, None, None, None)
        self.start(target, name)
        spec = {"restartPolicy": "Never", "nodeName": self.node, "terminationGracePeriodSeconds": 1, "containers": [
            {"name": "c", "image": os.environ.get("KUBE_IMAGE", "busybox:1.36"),
             "command": ["sh", "-c", "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done"]}]}
        meta = {"name": name, "namespace": "default", "labels": {"app.kubernetes.io/name": "tested"}}
        status, text = self.access.ask("POST", pods, {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec})
        self.assertEqual(status, 201, text)
        self.addCleanup(self.access.ask, "DELETE", f"{pods}/{name}")

        def phase():
            return json.loads(self.access.ask("GET", f"{pods}/{name}")[1])["status"].get("phase")

        harness.wait_for(lambda: phase() in ("Succeeded", "Failed"), timeout=180, interval=1, what=phase)
        logged = self.access.ask("GET", f"{pods}/{name}/log")[1].encode().splitlines()
        self.assertEqual(len(logged), 300)
        entries = lambda: target.entries({"pod": name})
        harness.wait_for(lambda: len(entries()) >= len(logged), interval=0.3, what=lambda: f"{len(entries())} lines")
        self.assert_lines([e.line for e in entries()], logged)
        wanted = kube_case.expected_labels({"metadata": meta}, "c", "stdout")
        self.assertEqual({tuple(sorted(e.labels.items())) for e in entries()},
                         {tuple(sorted({**wanted, "node_name": self.node}.items()))})
