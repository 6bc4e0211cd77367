# SPDX-License-Identifier: Apache-2.0
"""The chart's hardened DaemonSet and its hook, as rendered, on a node: a CRI engine with what a kubelet tells it.

Capabilities, mounts, read-only root, the seccomp profile that the init container puts there, probes, `helm test`.
"""

import deployed
import manifests
from manifests import find


class Chart(deployed.DeployedCase):
    def setUp(self):
        if lacking := manifests.missing():
            self.skipTest(f"not installed: {lacking}")
        super().setUp()
        manifests.build()

    def render(self):
        return manifests.render({
            "hardened": True, "image": {"repository": deployed.REPOSITORY, "tag": deployed.TAG}, "rbac": {"create": False},
            "client": {"url": self.target.url}, "hostNetwork": True, "metrics": {"address": "127.0.0.1", "port": self.port},
            "discovery": {"namespaces": {"include": [self.prefix + "-*"]}},
            "config": {"clients": [{"url": self.target.url, "batchwait": "100ms"}]},
            "extraArgs": ["--listen", "off"],
        })

    def test_hardened_agent_and_its_end(self):
        objects = self.render()
        agent = self.run_until_ready(self.pod(objects, find(objects, "DaemonSet", "logs-notail")))
        self.assertEqual(int(self.status(agent)["Seccomp_filters"]), 2)  # the profile's, and notail's own
        running = self.run_writer("talker")
        self.await_more(running)
        self.assertEqual(self.entries(running)[0].labels.get("namespace"), self.shop, self.said(agent))
        self.check_tests(objects)
        self.check_unpin(self.pod(objects, find(objects, "DaemonSet", "logs-notail-unpin")), agent)
        running.kill("c")

    def check_tests(self, objects):
        """The pods of `helm test`: 1,000 lines of one that lives for milliseconds, and a line there and back."""
        for name in ("logger", "check-loki"):
            pod = self.node.run(self.pod(objects, find(objects, "Pod", f"logs-notail-{name}")))
            self.assertEqual(pod.wait(name), 0, self.said(pod, name))
            if name == "logger":
                self.assert_as_logged(pod, 1000)
            pod.delete()
