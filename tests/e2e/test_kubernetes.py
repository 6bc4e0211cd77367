# SPDX-License-Identifier: Apache-2.0
"""Pods of a real CRI engine: their lines with exact labels, as the log files of the node have them, with the bundle only,
with the kubelet's list and with the API's watch; and what goes wrong in a cluster."""

import harness
import kube_case
import kube_objects
from kube_objects import container

# A long line is two of the log file, the first with a P.
SAYS = "echo $0 out; echo $0 err >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; echo; printf ' \\001\\033[1m\\n'"
STAYS = SAYS + "; exec sleep 10000"


class Kubernetes(kube_case.KubeCase):
    def says(self, word, script=STAYS, **more):
        return container(word, "sh", "-c", script, word, **more)

    def workload(self):
        """Pods of every kind, in two namespaces, run one after the other; what runs of them."""
        web = kube_objects.pod(
            self.shop, "web-6d45d4ccfb-9w4l7", [self.says("web"), self.says("second")],
            init=[self.says("prepare", SAYS), self.says("proxy", restartPolicy="Always")],
            labels={"app": "web", "app.kubernetes.io/name": "web-name", "app.kubernetes.io/component": "front",
                    "pod-template-hash": "6d45d4ccfb"}, controller=("ReplicaSet", "web-6d45d4ccfb"))
        static = kube_objects.static_pod(self.ops, "static-node-1", [self.says("s")], labels={"component": "static-demo"})
        shared = kube_objects.pod(self.shop, "sharepid", [self.says("a"), self.says("b")], labels={"app": "sharepid"},
                                  spec={"shareProcessNamespace": True})
        running = [self.node.run(pod) for pod in (web, static, shared)]
        running[0].attach(self.says("debug", SAYS, targetContainerName="web"))
        running[0].wait("debug")
        running[2].restart("b")
        return [*running, self.job()]

    def job(self):
        """It lives for 50 ms, and is removed at once."""
        pod = kube_objects.pod(
            self.ops, "blink-gzctx", [container("blink", "sh", "-c", "echo first; usleep 50000; echo last >&2")],
            labels={"batch.kubernetes.io/job-name": "blink", "job-name": "blink"}, controller=("Job", "blink"),
            spec={"restartPolicy": "Never"})
        running = self.node.run(pod)
        running.wait("blink")
        running.delete()
        self.api.delete(pod)
        return running

    def expected(self, running, name, stream, source):
        """What made the pod, where no label says what it is; from its name alone not more than that says."""
        apps = {"web-6d45d4ccfb-9w4l7": "web", "blink-gzctx": "blink",
                "static-node-1": "static-node" if source == "none" else "static"}
        app = apps.get(running.pod["metadata"]["name"])
        return kube_case.expected_labels(running.pod, name, stream, app, whole=source != "none")

    def check(self, source):
        notail = self.start(source)
        workload = self.workload()
        for running in workload:
            self.assert_as_logged(running)
            for name in running.ids:
                for entry in self.entries(running, name):
                    self.assertEqual(entry.labels, self.expected(running, name, entry.labels["stream"], source))
        self.assertEqual(self.captured(workload[-1].id("blink")), {"stdout": [b"first"], "stderr": [b"last"]})
        sandboxes = {running.sandbox for running in workload}
        self.assertEqual([e for e in self.target.entries({}) if e.metadata.get("container_id") in sandboxes], [])
        self.assertEqual(notail.stop(), 0)
        return workload

    def test_labels_of_the_bundle(self):
        self.check("none")
        self.assertEqual((self.api.requests, self.cluster.kubelet.requests), ([], []))

    def test_labels_of_the_kubelet(self):
        self.check("kubelet")
        self.assertEqual(self.api.requests, [])

    def test_labels_of_the_api(self):
        self.check("api")
        lists = self.api.asked("list")
        self.assertEqual([(r.resource, r.query["fieldSelector"], r.query["resourceVersion"]) for r in lists],
                         [("pods", "spec.nodeName=node-1", "0")])
        watch = self.api.asked("watch")[0]
        self.assertEqual(watch.query["fieldSelector"], "spec.nodeName=node-1")
        self.assertIn(watch.query["allowWatchBookmarks"], ("1", "true"))
