# SPDX-License-Identifier: Apache-2.0
"""A containerd of our own with its CRI plugin, as a kubelet has it, and a client of that.

    with Cri(programs) as engine:
        cid = engine.create("sh", "-c", "echo hi")    # in a pod of its own; does not run yet
        engine.start(cid); engine.wait(cid)
        engine.record(cid)                            # the CRI log file

The client speaks gRPC by python3-grpcio; the messages are few and small, so they are written by hand: a message is a
list of (field, value), where a value is a number, a text, bytes or such a list.
"""

import os
import secrets
import time

import containerd
import engine as docker
import podman
import records

try:
    import grpc
except ImportError:
    grpc = None

CONFIGURATION = """\
version = 2
root = "{base}/root"
state = "{base}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{base}/containerd.sock"
[ttrpc]
  address = "{base}/ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "local/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "{base}/cni"
"""
SERVICE = "/runtime.v1.RuntimeService/"
EXITED = 2
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3


def missing():
    """What is not installed here, as a text; empty when all is there."""
    names = [containerd.missing(), "" if grpc else "python3-grpcio"]
    return ", ".join(name for name in names if name)


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pairs(field, values):
    """A map of texts, for a message."""
    return [(field, [(1, name), (2, value)]) for name, value in values.items()]


def encode(message):
    """A message's bytes."""
    out = b""
    for field, value in message:
        if isinstance(value, int):
            out += number(field << 3) + number(value)
            continue
        if isinstance(value, list):
            value = encode(value)
        elif isinstance(value, str):
            value = value.encode()
        out += number(field << 3 | 2) + number(len(value)) + value
    return out


class Cri(containerd.Containerd):
    """`programs` are files that the image gets in /bin besides busybox' applets."""

    configuration = CONFIGURATION

    def __init__(self, programs=()):
        super().__init__(programs)
        self.channel = None
        self.network = False  # whether pods have networks of their own
        self.pods = []
        self.logs = {}

    def load_images(self):
        layer = docker.busybox_tar(self.programs)
        pause = containerd.docker_archive(docker.busybox_tar(), "local/pause:1", ("/bin/sleep", "2147483647"))
        self.import_image("image.tar", containerd.docker_archive(layer), "-n", "k8s.io")
        self.import_image("pause.tar", pause, "-n", "k8s.io")
        self.channel = grpc.insecure_channel("unix://" + self.socket)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.call("Version", [])
                return
            except grpc.RpcError:  # the plugin is not ready
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self):
        """Removes the pods before the rest."""
        if self.base and self.channel:
            for pod in self.pods:
                try:
                    self.call("StopPodSandbox", [(1, pod)])
                    self.call("RemovePodSandbox", [(1, pod)])
                except grpc.RpcError:
                    pass  # what is left ends with containerd
            self.channel.close()
            self.channel = None
        super().stop()

    def call(self, method, message):
        """The answer's fields: {number: the last value}."""
        stub = self.channel.unary_unary(SERVICE + method, request_serializer=encode, response_deserializer=bytes)
        return dict(records.fields(stub(message, timeout=120)))

    def bundle_directory(self):
        """Below it each container has a directory of its id with its config.json."""
        return os.path.join(self.base, "state/io.containerd.runtime.v2.task/k8s.io")

    def list(self):
        """{container id: its labels} of all containers, with those that have ended."""
        stub = self.channel.unary_unary(SERVICE + "ListContainers", request_serializer=encode, response_deserializer=bytes)
        found = {}
        for _, one in records.fields(stub([], timeout=120)):
            values = list(records.fields(one))
            labels = (dict(records.fields(value)) for number, value in values if number == 8)
            found[dict(values)[1].decode()] = {pair[1].decode(): pair.get(2, b"").decode() for pair in labels}
        return found

    def create(self, *command, tty=False, pid=CONTAINER):
        """A container in a pod of its own; its id."""
        uid = secrets.token_hex(8)
        directory = os.path.join(self.base, "logs", uid)
        os.makedirs(directory)
        namespaces = [(1, NODE), (2, pid), (3, POD)]
        sandbox = [
            (1, [(1, f"pod-{uid}"), (2, uid), (3, "default")]), (3, directory), (8, [(2, [(1, namespaces)])]),
        ]
        pod = self.call("RunPodSandbox", [(1, sandbox)])[1].decode()
        self.pods.append(pod)
        security = [(1, [(1, "SYS_ADMIN"), (1, "SYS_PTRACE")]), (3, namespaces)]
        container = [
            (1, [(1, "main")]), (2, [(1, containerd.IMAGE)]), *((3, word) for word in command), (11, "main.log"),
            (14, int(tty)), (15, [(2, security)]),
        ]
        cid = self.call("CreateContainer", [(1, pod), (2, container), (3, sandbox)])[1].decode()
        self.logs[cid] = os.path.join(directory, "main.log")
        return cid

    def start(self, cid):
        self.call("StartContainer", [(1, cid)])

    def status(self, cid):
        """Its exit status; None: it has not ended."""
        status = dict(records.fields(self.call("ContainerStatus", [(1, cid)])[1]))
        return status.get(7, 0) if status.get(3) == EXITED else None

    def wait(self, cid, timeout=240):
        """Waits for the container's end; its exit status."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status(cid)
            if status is not None:
                return status
            if time.monotonic() > deadline:
                raise docker.EngineError(f"{cid}: no end within {timeout} s")
            time.sleep(0.1)

    def record(self, cid):
        """The CRI log file; see records.py. Complete once the container has ended and its streams are through."""
        return podman.read_cri(self.logs[cid])
