# SPDX-License-Identifier: Apache-2.0
"""The plain manifests, changed as README says and rendered by kubectl where there is one, on a node: a CRI engine with
what a kubelet tells it, and a stand-in for the API server.

Each request that the pods make of it is one that the roles of the manifests allow.
"""

import itertools
import os
import re
import shutil

import deployed
import harness
import kube_case
import kube_objects
import manifests
from manifests import find


class Plain(deployed.DeployedCase):
    def setUp(self):
        super().setUp()
        self.directory = harness.shared.path("kubernetes")
        shutil.copytree(manifests.KUSTOMIZATION, self.directory)
        for name in ("kustomization.yaml", "unpin/kustomization.yaml"):
            self.change(name, "registry.example.com/notail", deployed.REPOSITORY)
        for name in ("notail.yaml", "events-notail.yaml"):
            self.change(name, "http://loki-gateway.loki", self.target.url + "\n    batchwait: 100ms")
            self.change(name, "0.0.0.0:9465", f"127.0.0.1:{self.port}")
        # Other containers of this machine are not this test's.
        self.change("notail.yaml", "preset: kubernetes", f"""preset: kubernetes
relabel_configs:
  - {{source_labels: [namespace], regex: {self.prefix}-.*, action: keep}}""")

    def change(self, name, text, by):
        path = os.path.join(self.directory, name)
        with open(path, encoding="utf-8") as file:
            had = file.read()
        self.assertIn(text, had)
        self.rewrite(path, had.replace(text, by))

    def render(self, directory="", components=()):
        render = manifests.kubectl_kustomize if shutil.which("kubectl") else manifests.kustomize
        return render(os.path.join(self.directory, directory), components)

    def assert_allowed(self, objects):
        """What was asked for is what the roles are for, and none is for something that nobody asks for."""
        rules = (rule for o in objects if o["kind"] in ("Role", "ClusterRole") for rule in o["rules"])
        allowed = {one for rule in rules for one in itertools.product(
            rule["verbs"], rule["apiGroups"], rule["resources"], rule.get("resourceNames", ["*"]))}
        asked = set()
        for request in self.api.asked():
            group = (re.match(r"/apis/([^/]+)/", request.path) or ["", ""])[1]
            name = re.search(rf"/{request.resource}/([^/?]+)", request.path)
            asked.add((request.verb, group, request.resource, name[1] if name else "*"))
        self.assertEqual(asked, allowed)

    def test_agent_events_and_their_end(self):
        objects = self.render()
        agent = self.run_until_ready(self.pod(objects, find(objects, "DaemonSet", "notail")))
        labels = {"app.kubernetes.io/name": "storefront"}
        running = self.run_writer("web", name="web-6d45d4ccfb-9w4l7", labels=labels,
                                  controller=("ReplicaSet", "web-6d45d4ccfb"))
        self.await_more(running)
        for entry in self.entries(running):
            self.assertEqual(entry.labels, kube_case.expected_labels(running.pod, "c", "stdout"))
        self.assert_numbers(running)
        self.assertEqual(self.entries(agent), [])
        self.end(agent)
        self.check_events(objects)
        self.assert_allowed(objects)
        asked = len(self.api.asked())
        agent = self.check_no_api(running)
        self.assertEqual(len(self.api.asked()), asked)
        self.check_unpin(self.pod([], find(self.render("unpin"), "DaemonSet")), agent)
        running.kill("c")

    def check_events(self, objects):
        pod = self.pod(objects, find(objects, "Deployment"))
        watching = self.run_until_ready(pod)
        status = self.status(watching)
        self.assertEqual((status["Uid"].split()[0], int(status["CapBnd"], 16)), ("65534", 0))
        self.api.put_event({**kube_objects.read("events-list.json")["items"][0], "lastTimestamp": kube_objects.now()})
        harness.wait_for(lambda: self.target.entries({"job": "loki.source.kubernetes_events"}), interval=0.2,
                         what=lambda: self.said(watching))
        self.end(watching)

    def check_no_api(self, running):
        """Another agent goes on where the last one was, and knows what names say."""
        objects = self.render(components=["no-api"])
        agent = self.run_until_ready(self.pod(objects, find(objects, "DaemonSet", "notail")))
        self.await_more(running)
        # Streams of other labels are sent beside each other.
        harness.wait_for(lambda: self.numbers(running) == list(range(len(self.numbers(running)))), interval=0.2,
                         what=lambda: f"{self.numbers(running)}; {self.said(agent)}")
        expected = kube_case.expected_labels(running.pod, "c", "stdout", app="web", whole=False)
        self.assertEqual(self.entries(running)[-1].labels, expected)
        self.assertNotIn(deployed.ACCOUNT, [m["mountPath"] for m in agent.spec("containers")[0]["volumeMounts"]])
        return agent
