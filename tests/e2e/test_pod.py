# SPDX-License-Identifier: Apache-2.0
"""notail as the pod of a DaemonSet: named capabilities, the host's processes and BPF file system, a root that is read-only.

It captures the other pods and not itself, also where its container is killed, or another version's pod takes its place.
"""

import os
import subprocess

import containerd
import harness
import kube_case
import kube_objects
from test_inside import notail_tar
from test_restart import BPFFS, is_bpffs

IMAGE, NEXT = "localhost/notail:1", "localhost/notail:2"
CAPABILITIES = ["SYS_ADMIN", "BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_NICE"]
# While no notail is there, the ring takes what all containers of this machine write: none of them may fill it.
LIMIT = "capture:\n  rate_limit: 32KiB\n"
# Programs of the same version are taken over as they are; these settings need others.
OTHER_PROGRAMS = ("--rate-limit", "64KiB/s")


def mount(name, path, **more):
    return {"name": name, "mountPath": path, **more}


class Pod(kube_case.KubeCase):
    def setUp(self):
        super().setUp()
        if not is_bpffs(BPFFS):
            self.skipTest(f"{BPFFS} is no BPF file system")
        self.pins = f"{BPFFS}/notail-{harness.RUN_ID}-{self.id().rsplit('.', 1)[1]}"
        self.addCleanup(subprocess.run, [harness.NOTAIL, "unpin", "--pins", self.pins, "--force"],
                        stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.directory = harness.shared.path("etc").replace(".", "-")
        self.spool = harness.shared.path("spool")
        for path in (self.directory, self.spool):
            os.makedirs(path)
        with open(self.config("none"), encoding="utf-8") as file:
            self.rewrite(os.path.join(self.directory, "notail.yaml"), file.read() + LIMIT)
        self.load_image(IMAGE, lambda tar: tar)

    def load_image(self, tag, change):
        """An image with notail; change() makes its layer another one."""
        layer = change(notail_tar())
        self.node.engine.import_image("notail.tar", containerd.docker_archive(layer, tag), "-n", "k8s.io")

    def notail_pod(self, image=IMAGE, words=(), capabilities=CAPABILITIES):
        spec = kube_objects.container(
            "notail", "/bin/notail", "run", "--pins", self.pins, "--log-level", "debug", "--listen", "off", *words, image=image,
            env=[{"name": "NODE_NAME", "value": "node-1"}],
            volumeMounts=[mount("bpf", BPFFS), mount("spool", "/var/lib/notail/spool"),
                          mount("config", "/etc/notail", readOnly=True)],
            securityContext={"capabilities": {"drop": ["ALL"], "add": capabilities}, "readOnlyRootFilesystem": True,
                             "seccompProfile": {"type": "RuntimeDefault"}})
        volumes = [{"name": name, "hostPath": {"path": path}}
                   for name, path in (("bpf", BPFFS), ("spool", self.spool), ("config", self.directory))]
        pod = kube_objects.pod(self.ops, self.pod_name("notail"), [spec], controller=("DaemonSet", "notail"),
                               labels={"app.kubernetes.io/name": "notail"},
                               spec={"hostPID": True, "hostNetwork": True, "volumes": volumes})
        return self.node.run(pod)

    def said(self, running):
        return b"\n".join(running.record("notail")["stderr"]).decode(errors="replace")

    def await_ready(self, running):
        def ready():
            said = self.said(running)
            if "\nready" in "\n" + said.replace("notail: ", ""):
                return True
            status = self.node.engine.status(running.id("notail"))
            self.assertIsNone(status, said)
            return False

        harness.wait_for(ready, interval=0.1, what=lambda: self.said(running))

    def test_captures_others_and_not_itself(self):
        before = self.run_writer("before")
        harness.wait_for(lambda: before.record("c")["stdout"])
        agent = self.notail_pod()
        self.await_ready(agent)
        after = self.run_writer("after")
        self.await_more(before)
        self.await_more(after)
        for running in (before, after):
            running.kill("c")
        self.assert_as_logged(after)
        got, logged = self.numbers(before), [int(line.split()[1]) for line in before.record("c")["stdout"]]
        self.assert_lines(got, logged[logged.index(got[0]):])
        for running in (before, after):
            for entry in self.entries(running):
                self.assertEqual(entry.labels, kube_case.expected_labels(running.pod, "c", "stdout", whole=False))
        self.assertEqual(self.entries(agent), [])
        self.assertEqual(self.target.entries({"pod": agent.pod["metadata"]["name"]}), [])

    def test_killed_and_replaced(self):
        """By a container in its pod, and by the pod of the next version, whose programs are others."""
        running = self.run_writer("talker")
        self.load_image(NEXT, lambda tar: tar.replace(b"notail/0.1.0", b"notail/9.9.9"))
        agents = [self.notail_pod()]
        self.await_ready(agents[0])
        self.await_more(running)
        agents[0].restart("notail")
        self.await_ready(agents[0])
        self.assertIn("what is pinned is taken over", self.said(agents[0]))
        self.await_more(running)
        agents[0].kill("notail")
        agents[0].delete()
        late = self.run_pod(self.shop, "meanwhile", "sh", "-c", "for i in 0 1 2; do echo line $i; done")
        late.wait("c")
        late.delete()
        agents.append(self.notail_pod(NEXT, OTHER_PROGRAMS))
        self.await_ready(agents[1])
        self.assertIn("this notail's programs took over", self.said(agents[1]))
        self.await_more(running)
        running.kill("c")
        got, logged = self.numbers(running), [int(line.split()[1]) for line in running.record("c")["stdout"]]
        harness.wait_for(lambda: self.numbers(running)[-1] == logged[-1], what=lambda: f"{self.numbers(running)[-1]}")
        got = self.numbers(running)
        self.assert_lines(got, list(range(got[0], logged[-1] + 1)))
        self.assertEqual(self.numbers(late), [0, 1, 2])
        self.assertEqual([e for agent in agents for e in self.entries(agent)], [])
        self.assertIn("notail/9.9.9", {push.headers.get("user-agent") for push in self.target.receiver.pushes})
