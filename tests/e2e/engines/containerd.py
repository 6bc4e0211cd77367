# SPDX-License-Identifier: Apache-2.0
"""A containerd of our own without dockerd, and its client ctr.

    with Containerd(programs) as engine:
        name = engine.name()                             # 64 hex digits
        done = engine.run(name, "echo", "hi")            # done.stdout is what the container's pipe had

ctr attaches to two FIFOs that the shim fills: the shim is the reader of the container's pipes. ctr keeps no
record, so what it printed is one. The container's cgroup is /<namespace>/<name>, so a name must look like
those that other clients of containerd give.
"""

import atexit
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import time

import engine as docker

CONFIGURATION = """\
version = 2
root = "{base}/root"
state = "{base}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{base}/containerd.sock"
[ttrpc]
  address = "{base}/ttrpc.sock"
"""
IMAGE = "localhost/busybox:latest"


def missing():
    """What is not installed here, as a text; empty when all is there."""
    names = [n for n in ("containerd", "ctr", "runc") if not shutil.which(n, path=docker.search_path())]
    if not shutil.which("busybox"):
        names.append("busybox-static")
    return ", ".join(names)


def docker_archive(layer, tag=IMAGE, command=(), entrypoint=()):
    """An image with one layer, in the form of `docker save`."""
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": list(command), "Entrypoint": list(entrypoint)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("manifest.json", manifest), (config_name, config), ("layer.tar", layer)):
            docker.add_bytes(tar, name, data, 0o644)
    return out.getvalue()


class Containerd:
    """`programs` are files that the image gets in /bin besides busybox' applets."""

    configuration = CONFIGURATION

    def __init__(self, programs=()):
        self.programs = list(programs)
        self.base = docker.make_base()
        self.socket = os.path.join(self.base, "containerd.sock")
        self.prefix = secrets.token_hex(3)
        self.process = None
        atexit.register(self.stop)

    def __enter__(self):
        config = os.path.join(self.base, "config.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(self.configuration.format(base=self.base))
        with open(os.path.join(self.base, "containerd.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["containerd", "--config", config, "-l", "error"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=self.environment(),
            )
        self.wait_ready()
        self.load_images()
        return self

    def load_images(self):
        self.import_image("image.tar", docker_archive(docker.busybox_tar(self.programs)))

    def import_image(self, name, archive, *options):
        path = os.path.join(self.base, name)
        with open(path, "wb") as file:
            file.write(archive)
        self.ctr(*options, "images", "import", path)

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self):
        deadline = time.monotonic() + 60
        while self.ctr("version", check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.base, "containerd.log"), encoding="utf-8", errors="replace") as file:
                    raise docker.EngineError(f"containerd does not answer:\n{file.read()[-2000:]}")
            time.sleep(0.1)

    def stop(self):
        """Ends containerd and what belongs to it, removes the directory."""
        if self.base is None:
            return
        base, self.base = self.base, None
        atexit.unregister(self.stop)
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        docker.kill_all(base)
        docker.remove(base)

    # The client.

    def environment(self):
        return {**os.environ, "PATH": docker.search_path()}

    def command(self, *args):
        return ["ctr", "--address", self.socket, *args]

    def ctr(self, *args, check=True, timeout=120):
        """Runs the client to its end; a CompletedProcess with bytes."""
        done = subprocess.run(
            self.command(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=timeout, env=self.environment(), check=False,
        )
        if check and done.returncode != 0:
            raise docker.EngineError(f"ctr {' '.join(args)}: status {done.returncode}: {done.stderr.decode()}")
        return done

    def name(self):
        """The name of a new container, as nerdctl and CRI give them; those of one engine begin with its prefix."""
        return self.prefix + secrets.token_hex(29)

    @staticmethod
    def run_words(name, *command, options=()):
        return ["run", "--rm", *options, IMAGE, name, *command]

    def run(self, name, *command, options=(), check=True, timeout=240):
        return self.ctr(*self.run_words(name, *command, options=options), check=check, timeout=timeout)
