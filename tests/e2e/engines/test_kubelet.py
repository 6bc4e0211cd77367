# SPDX-License-Identifier: Apache-2.0
"""Pods are what a kubelet makes of them: their bundles, cgroups and log files are those that a real one's have."""

import glob
import json
import os

import case
import harness
import kube_objects
from kubelet import Kubelet as Node
from kube_objects import container


class Kubelet(case.EngineCase):
    needs_programs = ()

    def setUp(self):
        why = case.why_no_cri()
        if why:
            self.skipTest(why)
        super().setUp()
        self.seen = []
        self.node = Node(case.cri_engine(), self.seen.append)
        self.addCleanup(self.node.stop)

    def annotations(self, cid):
        with open(os.path.join(self.node.engine.bundle_directory(), cid, "config.json"), encoding="utf-8") as file:
            bundle = json.load(file)
        return bundle["annotations"], bundle["linux"]["cgroupsPath"]

    def test_bundles(self):
        """The same annotations as were recorded from a real node, but for the values."""
        recorded = [json.loads(line) for line in kube_objects.read("oci-annotations.jsonl")]
        wanted = next(one for one in recorded if one["annotations"].get("io.kubernetes.cri.container-name") == "sidecar")
        pod = kube_objects.pod(
            f"ns-{harness.RUN_ID}", "withinit", [container("main", "sleep", "1000")],
            init=[container("prepare", "echo", "first"), container("sidecar", "sleep", "1000", restartPolicy="Always")])
        running = self.node.run(pod)
        annotations, cgroup = self.annotations(running.id("sidecar"))
        self.assertEqual(set(annotations), set(wanted["annotations"]))
        self.assertEqual(annotations["io.kubernetes.cri.sandbox-uid"], pod["metadata"]["uid"])
        self.assertEqual(annotations["io.kubernetes.cri.container-name"], "sidecar")
        self.assertEqual(cgroup, f"/kubepods/besteffort/pod{pod['metadata']['uid']}/{running.id('sidecar')}")
        self.assertEqual(self.annotations(running.sandbox)[0]["io.kubernetes.cri.container-type"], "sandbox")
        self.assertEqual(running.record("prepare"), {"stdout": [b"first"], "stderr": []})
        labels = self.node.engine.list()[running.id("main")]
        self.assertEqual(labels["io.kubernetes.pod.name"], "withinit")
        self.assertEqual({s["name"] for s in self.seen[-1]["status"]["initContainerStatuses"]}, {"prepare", "sidecar"})

    def test_lives(self):
        """A restart, an ephemeral container, a deletion that leaves nothing."""
        pod = kube_objects.pod(f"ns-{harness.RUN_ID}", "lives", [container("c", "sh", "-c", "echo hi; exec sleep 1000")],
                               spec={"shareProcessNamespace": True})
        running = self.node.run(pod)
        first = running.id("c")
        self.assertNotEqual(running.restart("c"), first)
        self.assertEqual(self.seen[-1]["status"]["containerStatuses"][0]["restartCount"], 1)
        running.attach(container("debug", "sh", "-c", "ps", targetContainerName="c"))
        self.assertEqual(running.wait("debug"), 0)
        harness.wait_for(lambda: running.record("c")["stdout"] == [b"hi"])
        self.assertIn(b"sleep 1000", b"\n".join(running.record("debug")["stdout"]))
        running.delete()
        self.assertEqual(glob.glob(f"/sys/fs/cgroup/*/kubepods/besteffort/pod{running.uid}"), [])
        self.assertFalse(set(running.all_ids()) & set(self.node.engine.list()))
