# SPDX-License-Identifier: Apache-2.0
"""What the tests on Kubernetes share: a node (containerd's CRI plugin and a kubelet's doings), a cluster's API server and
kubelet to ask, a notail that pushes to the strict receiver, and what it has to have pushed.

A notail sees every container of this machine: these have namespaces of their own, and it is told to leave out others.
"""

import http.client
import itertools
import json
import os
import re
import secrets
import shutil
import sys

import harness
import kube_objects
import prometheus
from kube_api import Cluster

sys.path.append(os.path.join(harness.TOP, "tests/e2e/engines"))
sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

import case  # noqa: E402
from kubelet import Kubelet  # noqa: E402
from loki_client import ReceiverTarget  # noqa: E402
from loki_receiver import Receiver  # noqa: E402

CONFIG = """\
preset: kubernetes
clients:
  - url: {loki}
    batchwait: 500ms
host: host-of-the-test
relabel_configs:
  - source_labels: [__meta_notail_pod_uid]
    regex: .+
    action: keep
discovery:
  docker:
    enabled: false
  max_wait: {max_wait}
  kubernetes:
    source: {source}
    node_name: node-1
    namespaces:
      include: ["{prefix}-*"]
"""
API = """\
    api_server: {api.url}
    token_file: {api.token_file}
    tls_config:
      ca_file: {api.ca_file}
"""
KUBELET = """\
    kubelet_url: {kubelet.url}
    token_file: {kubelet.token_file}
    kubelet_tls_config:
      ca_file: {kubelet.ca_file}
    poll_interval: 1s
"""
_numbers = itertools.count(1)


def why_not():
    why = case.why_no_cri()
    if not why and not shutil.which("openssl"):
        why = "not installed: openssl, which makes certificates"
    return why


class KubeCase(harness.TestCase):
    needs_engine = False
    needs_programs = ()

    def setUp(self):
        why = why_not()
        if why:
            self.skipTest(why)
        super().setUp()
        self.prefix = f"e2e-{harness.RUN_ID}-{next(_numbers)}"
        self.shop, self.ops = self.prefix + "-shop", self.prefix + "-ops"
        self.cluster = Cluster(harness.shared.path("cluster"))
        self.cluster.start()
        self.addCleanup(self.cluster.stop)
        self.node = Kubelet(case.cri_engine(), self.cluster.put)
        self.addCleanup(self.node.stop)
        self.target = ReceiverTarget(Receiver())
        self.target.__enter__()
        self.addCleanup(self.target.__exit__, None, None, None)

    @property
    def api(self):
        return self.cluster.api

    # notail.

    def config(self, source, max_wait="60s", more=""):
        """A file; `more` is text that is added to the section `kubernetes` and what may follow it."""
        text = CONFIG.format(loki=self.target.url, source=source, prefix=self.prefix, max_wait=max_wait)
        text += {"none": "", "api": API, "kubelet": KUBELET}[source].format(api=self.api, kubelet=self.cluster.kubelet)
        return self.file(text + more)

    def start(self, source="none", max_wait="60s", more="", words=(), **keywords):
        return self.plain_notail("run", "-c", self.config(source, max_wait, more), "--listen", "127.0.0.1:0", "--log-level",
                                 "debug", "--stats", *words, **keywords)

    def ask(self, notail, path):
        """A page of the status server, as text."""
        address = re.search(r"status page at http://(127\.0\.0\.1:\d+)$", notail.stderr(), re.M).group(1)
        connection = http.client.HTTPConnection(address, timeout=harness.DEADLINE)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metrics(self, notail):
        return prometheus.parse(self.ask(notail, "/metrics").encode())

    def targets(self, notail):
        return json.loads(self.ask(notail, "/targets"))

    @staticmethod
    def lists(server):
        """Without those that are asked for because of a pod that the server does not know, as those of other tests may be."""
        return [r for r in server.asked("list") if "resourceVersion" in r.query]

    # Pods.

    def pod_name(self, word):
        return f"{word}-{secrets.token_hex(3)}"

    def run_pod(self, namespace, word, *command, name=None, **keywords):
        """A pod with one container `c`."""
        pod = kube_objects.pod(namespace, name or self.pod_name(word), [kube_objects.container("c", *command)], **keywords)
        return self.node.run(pod)

    def run_writer(self, word, **keywords):
        """A pod that writes numbered lines."""
        script = "i=0; while :; do echo line $i; i=$((i+1)); usleep 50000; done"
        return self.run_pod(self.shop, word, "sh", "-c", script, **keywords)

    # What came.

    def entries(self, running, name=None):
        """What came of one of its containers (by name) or of all, in order."""
        ids = running.ids.get(name, ()) if name else running.all_ids()
        return [e for e in self.target.entries({}) if e.metadata.get("container_id") in ids]

    def lines(self, running, name, stream, cid=None):
        cid = cid or running.id(name)
        return [e.line for e in self.target.entries({"stream": stream}) if e.metadata.get("container_id") == cid]

    def captured(self, cid):
        found = {"stdout": [], "stderr": []}
        for entry in self.target.entries({}):
            if entry.metadata.get("container_id") == cid:
                found[entry.labels["stream"]].append(entry.line)
        return found

    def assert_as_logged(self, running, lines=1):
        """Each of its containers, ended or at rest, has written that many lines: what came are its log files, byte for
        byte."""
        engine = self.node.engine
        for name, ids in running.ids.items():
            for cid in ids:
                written = lambda cid=cid: sum(map(len, engine.record(cid).values()))
                harness.wait_for(lambda: written() >= lines, interval=0.1, what=lambda: f"{name}: {written()} lines")
                try:
                    harness.wait_for(lambda cid=cid: self.captured(cid) == engine.record(cid), interval=0.3)
                except AssertionError:
                    pass  # the comparison says more
                got, logged = self.captured(cid), engine.record(cid)
                for stream in ("stdout", "stderr"):
                    self.assert_lines(got[stream], logged[stream], f"{name} {stream}")

    def numbers(self, running):
        found = [int(line.split()[1]) for line in self.lines(running, "c", "stdout") if re.fullmatch(rb"line \d+", line)]
        return found

    def await_more(self, running, more=20):
        goal = max(self.numbers(running), default=-1) + more
        harness.wait_for(lambda: max(self.numbers(running), default=-1) >= goal, interval=0.3,
                         what=lambda: f"{max(self.numbers(running), default=-1)} of {goal}")

    def assert_numbers(self, running):
        """Each line once, in order, from the first one on: a writer that notail saw from its start."""
        got = self.numbers(running)
        self.assert_lines(got, list(range(len(got))), running.pod["metadata"]["name"])

    def await_label(self, running, name, value):
        """A line with that value; None: without the label."""
        harness.wait_for(lambda: any(e.labels.get(name) == value for e in self.entries(running)), interval=0.3,
                         what=lambda: f"no line with {name}={value}: {[e.labels for e in self.entries(running)][-1:]}")


def expected_labels(pod, container, stream, app=None, whole=True):
    """Of the preset `kubernetes`, by what the pod's object says, or (not `whole`) its containers' bundles alone.
    `app`: what it is called after where it has no label that says so; None: after itself."""
    meta = pod["metadata"]
    labels = meta["labels"] if whole else {}
    return {
        "namespace": meta["namespace"], "pod": meta["name"], "container": container, "stream": stream,
        "job": f"{meta['namespace']}/{container}", "node_name": "node-1",
        "app": labels.get("app.kubernetes.io/name") or labels.get("app") or app or meta["name"],
        "service_name": labels.get("app.kubernetes.io/name") or container,
    }
