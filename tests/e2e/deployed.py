# SPDX-License-Identifier: Apache-2.0
"""Pods of deploy/ on a node: what a kubelet makes of a rendered template, for a CRI engine.

ConfigMaps are files, fields of the pod are values, the service account's token and authority are mounted, and the API
server is where the environment says. Paths of the node are directories of the test, its BPF file system a directory in
the real one. The network is the host's, so ports are the test's.
"""

import copy
import http.client
import os
import shutil
import socket
import subprocess

import engine
import harness
import kube_case  # which knows where the next one is
import containerd
import kube_objects
import manifests
from test_inside import notail_tar
from test_restart import BPFFS, is_bpffs

REPOSITORY, TAG = "localhost/notail", "0.1.0"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# In the order of their numbers.
CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST
NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
""".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def status_of(pid):
    """/proc/PID/status, as a dict."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def capabilities_here():
    bits = int(status_of("self")["CapBnd"], 16)
    return [name for i, name in enumerate(CAPABILITIES) if bits >> i & 1]


def instead_of_privileged(context):
    """A privileged container has every capability there is, and no runtime starts one where some are missing, as on
    virtual machines without SYS_RESOURCE. There: those that there are, each system call, and nothing of /proc hidden."""
    if context.get("privileged") and len(capabilities_here()) < len(CAPABILITIES):
        del context["privileged"]
        context.update({"capabilities": {"add": capabilities_here()}, "seccompProfile": {"type": "Unconfined"},
                        "procMount": "Unmasked"})


class DeployedCase(kube_case.KubeCase):
    def setUp(self):
        if not manifests.yaml:
            self.skipTest("not installed: python3-kubernetes")
        if not is_bpffs(BPFFS):
            self.skipTest(f"{BPFFS} is no BPF file system")
        super().setUp()
        self.bpf = f"{BPFFS}/notail-{harness.RUN_ID}-{self.id().rsplit('.', 1)[1]}"
        os.mkdir(self.bpf)
        self.addCleanup(os.rmdir, self.bpf)
        self.pins = self.bpf + "/notail"
        self.addCleanup(subprocess.run, [harness.NOTAIL, "unpin", "--pins", self.pins, "--force"],
                        stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.root = harness.shared.path("node")
        self.port = free_port()
        # What busybox calls seq has not all of its options.
        layer = engine.append_files(notail_tar(), {"bin/seq": shutil.which("seq")})
        image = containerd.docker_archive(layer, f"{REPOSITORY}:{TAG}", entrypoint=["/bin/notail"])
        self.node.engine.import_image("notail.tar", image, "-n", "k8s.io")

    # What a kubelet makes of a template.

    def here(self, path):
        return self.bpf if path == BPFFS else self.root + path

    def directory_of(self, data, owner=0):
        path = harness.shared.path("volume")
        os.makedirs(path)
        for name, text in data.items():
            with open(os.path.join(path, name), "w", encoding="utf-8", opener=lambda *of: os.open(*of, 0o600)) as file:
                file.write(text)
            os.chown(os.path.join(path, name), owner, owner)
        return path

    def account(self, spec, namespace):
        """What the agent is told of the API server: a directory with the token, which is its user's."""
        data = {"namespace": namespace}
        for name, path in (("token", self.api.token_file), ("ca.crt", self.api.ca_file)):
            with open(path, encoding="ascii") as file:
                data[name] = file.read()
        return self.directory_of(data, spec.get("securityContext", {}).get("runAsUser", 0))

    def pod(self, objects, workload):
        template = copy.deepcopy(workload["spec"].get("template", workload))
        spec = template["spec"]
        volumes = spec.setdefault("volumes", [])
        namespace = workload["metadata"]["namespace"]
        for volume in volumes:
            if "configMap" in volume:
                data = manifests.find(objects, "ConfigMap", volume.pop("configMap")["name"])["data"]
                path = self.directory_of(data, spec.get("securityContext", {}).get("runAsUser", 0))
            else:
                path = self.here(volume["hostPath"]["path"])
                os.makedirs(path, exist_ok=True)
            volume["hostPath"] = {"path": path}
        if spec.get("automountServiceAccountToken", True):
            volumes.append({"name": "account", "hostPath": {"path": self.account(spec, namespace)}})
            for c in manifests.containers(spec):
                c.setdefault("volumeMounts", []).append({"name": "account", "mountPath": ACCOUNT, "readOnly": True})
        fields = {"spec.nodeName": "node-1", "metadata.namespace": namespace, "status.hostIP": "127.0.0.1"}
        for c in manifests.containers(spec):
            self.fill_in(c, volumes, fields)
        return kube_objects.pod(self.ops, self.pod_name(workload["metadata"]["name"]), spec["containers"],
                                controller=(workload["kind"], workload["metadata"]["name"]),
                                labels=template["metadata"]["labels"], spec={**spec, "hostNetwork": True})

    def fill_in(self, c, volumes, fields):
        value = lambda e: e["value"] if "value" in e else fields[e["valueFrom"]["fieldRef"]["fieldPath"]]
        c["env"] = [{"name": e["name"], "value": value(e)} for e in c.get("env", [])]
        c["env"] += [{"name": "KUBERNETES_SERVICE_HOST", "value": self.api.host},
                     {"name": "KUBERNETES_SERVICE_PORT", "value": str(self.api.port)}]
        for mount in c.get("volumeMounts", []):
            if "subPath" in mount:
                directory = next(v for v in volumes if v["name"] == mount["name"])["hostPath"]["path"]
                name = f"{mount['name']}-{c['name']}"
                volumes.append({"name": name, "hostPath": {"path": os.path.join(directory, mount.pop("subPath"))}})
                mount["name"] = name
        instead_of_privileged(c["securityContext"])
        profile = c["securityContext"].get("seccompProfile", {})
        if profile.get("type") == "Localhost":
            profile["localhostProfile"] = self.here(os.path.join("/var/lib/kubelet/seccomp", profile["localhostProfile"]))

    # What it does then.

    def said(self, running, name="notail"):
        return b"\n".join(running.record(name)["stderr"]).decode(errors="replace")

    def ask_probe(self, path):
        """As the kubelet asks; None: nobody is there yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionError:
            return None
        finally:
            connection.close()

    def run_until_ready(self, pod):
        """All of its probes are content."""
        running = self.node.run(pod)
        [c] = running.spec("containers")

        def is_content(probe):
            self.assertIsNone(self.node.engine.status(running.id(c["name"])), self.said(running))
            return self.ask_probe(probe["httpGet"]["path"]) == 200

        for probe in (c[key] for key in c if key.endswith("Probe")):
            harness.wait_for(lambda probe=probe: is_content(probe), interval=0.2, what=lambda: self.said(running))
        return running

    def end(self, running):
        """As the kubelet ends a pod whose object is deleted."""
        running.kill("notail", 30)
        self.assertEqual(self.node.engine.status(running.id("notail")), 0, self.said(running))
        running.delete()

    def status(self, running):
        """Of its process, which its cgroup tells."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
                    if running.id("notail") in file.read():
                        return status_of(pid)
            except OSError:
                continue
        raise AssertionError("no process")

    def check_unpin(self, hook, agent):
        """It fails as long as the agent runs, then removes what that has pinned, and the pod is there."""
        removing = self.node.sandbox(hook)
        removing.start("unpin")
        self.assertEqual(removing.wait("unpin"), 1, "while a notail runs")
        self.assertIn("another notail runs", self.said(removing, "unpin"))
        self.assertTrue(os.listdir(self.pins))
        self.end(agent)
        self.assertTrue(os.listdir(self.pins))
        removing.start("unpin")
        self.assertEqual(removing.wait("unpin"), 0, self.said(removing, "unpin"))
        self.assertIn(b"removed", b"\n".join(removing.record("unpin")["stdout"]))
        self.assertFalse(os.path.exists(self.pins))
        removing.start("done")
        self.assertIsNone(self.node.engine.status(removing.id("done")), self.said(removing, "done"))
