# SPDX-License-Identifier: Apache-2.0
"""The chart's hardened DaemonSet and its hook, as rendered, on a node: a CRI engine with what a kubelet tells it.

Capabilities, mounts, read-only root, the seccomp profile that the init container puts there, probes. Paths of the node are
directories of this test, but for the BPF file system, and there the pins have a name of their own.
"""

import copy
import http.client
import os
import socket
import subprocess

import harness
import kube_case  # which knows where the next one is
import containerd
import kube_objects
import manifests
from manifests import find
from test_inside import notail_tar
from test_restart import BPFFS, is_bpffs

IMAGE = "localhost/notail:1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Chart(kube_case.KubeCase):
    def setUp(self):
        if lacking := manifests.missing():
            self.skipTest(f"not installed: {lacking}")
        if not is_bpffs(BPFFS):
            self.skipTest(f"{BPFFS} is no BPF file system")
        super().setUp()
        manifests.build()
        self.pins = f"{BPFFS}/notail-{harness.RUN_ID}-chart"
        self.addCleanup(subprocess.run, [harness.NOTAIL, "unpin", "--pins", self.pins, "--force"],
                        stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.root = harness.shared.path("node")
        self.port = free_port()
        self.node.engine.import_image("notail.tar", containerd.docker_archive(notail_tar(), IMAGE), "-n", "k8s.io")

    def render(self):
        repository, tag = IMAGE.split(":")
        return manifests.render({
            "hardened": True, "image": {"repository": repository, "tag": tag}, "rbac": {"create": False},
            "client": {"url": self.target.url}, "hostNetwork": True, "metrics": {"address": "127.0.0.1", "port": self.port},
            "discovery": {"namespaces": {"include": [self.prefix + "-*"]}},
            "config": {"clients": [{"url": self.target.url, "batchwait": "100ms"}]},
            "extraArgs": ["--pins", self.pins, "--listen", "off"],
        })

    def here(self, path):
        """A path of the node: this test's, but for the BPF file system."""
        return path if path == BPFFS else self.root + path

    def directory_of(self, data):
        path = harness.shared.path("volume")
        os.makedirs(path)
        for name, text in data.items():
            with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def pod(self, objects, daemon_set):
        """What a kubelet makes of its template: ConfigMaps are files, fields of the pod are values."""
        spec = copy.deepcopy(daemon_set["spec"]["template"]["spec"])
        volumes = spec["volumes"]
        for volume in list(volumes):
            if "configMap" in volume:
                directory = self.directory_of(find(objects, "ConfigMap", volume.pop("configMap")["name"])["data"])
                volume["hostPath"] = {"path": directory}
            else:
                host = volume["hostPath"]
                host["path"] = self.here(host["path"])
                os.makedirs(host["path"], exist_ok=True)
        for c in manifests.containers(spec):
            c.setdefault("command", ["/bin/notail"])
            c["env"] = [{"name": e["name"], "value": e.get("value", "node-1")} for e in c.get("env", [])]
            for mount in c.get("volumeMounts", []):
                if "subPath" in mount:
                    directory = next(v for v in volumes if v["name"] == mount["name"])["hostPath"]["path"]
                    name = f"{mount['name']}-{c['name']}"
                    volumes.append({"name": name, "hostPath": {"path": os.path.join(directory, mount.pop("subPath"))}})
                    mount["name"] = name
            profile = c["securityContext"].get("seccompProfile", {})
            if profile.get("type") == "Localhost":
                profile["localhostProfile"] = self.here(os.path.join("/var/lib/kubelet/seccomp", profile["localhostProfile"]))
        pod = kube_objects.pod(self.ops, self.pod_name("agent"), spec.pop("containers"), controller=("DaemonSet", "notail"),
                               labels=daemon_set["spec"]["template"]["metadata"]["labels"],
                               spec={key: spec[key] for key in ("initContainers", "volumes", "hostPID")})
        pod["spec"]["hostNetwork"] = True
        return pod

    def probe(self, path):
        """As the kubelet asks; None: nobody is there yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionError:
            return None
        finally:
            connection.close()

    def said(self, running, name="notail"):
        return b"\n".join(running.record(name)["stderr"]).decode(errors="replace")

    def test_hardened_agent_and_its_end(self):
        objects = self.render()
        agent = self.node.run(self.pod(objects, find(objects, "DaemonSet", "logs-notail")))
        [c] = agent.spec("containers")
        get = {key: c[key]["httpGet"]["path"] for key in ("startupProbe", "livenessProbe", "readinessProbe")}

        def is_up(which):
            self.assertIsNone(self.node.engine.status(agent.id("notail")), self.said(agent))
            return self.probe(get[which]) == 200

        for which in get:
            harness.wait_for(lambda which=which: is_up(which), interval=0.2, what=lambda: self.said(agent))
        with open(f"/proc/{self.pid_of(agent)}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual(int(status["Seccomp_filters"]), 2)  # the profile's, and notail's own
        running = self.run_writer("talker")
        self.await_more(running)
        self.assertEqual(self.entries(running)[0].labels.get("namespace"), self.shop, self.said(agent))
        self.assertTrue(os.listdir(self.pins))
        hook = self.pod(objects, find(objects, "DaemonSet", "logs-notail-unpin"))
        hook["spec"]["initContainers"][0]["args"] += ["--pins", self.pins]
        refused = self.node.sandbox(hook)
        refused.start("unpin")
        self.assertEqual(refused.wait("unpin"), 1, "while a notail runs")
        agent.kill("notail")
        agent.delete()
        self.assertTrue(os.path.exists(self.pins))
        refused.start("unpin")
        self.assertEqual(refused.wait("unpin"), 0, self.said(refused, "unpin"))
        self.assertFalse(os.path.exists(self.pins))
        running.kill("c")

    def pid_of(self, running):
        """The process of its container, found by its cgroup."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
                    if running.id("notail") in file.read():
                        return int(pid)
            except OSError:
                continue
        raise AssertionError("no process")
