# SPDX-License-Identifier: Apache-2.0
"""A podman of our own, with either of its runtimes: own storage, own configuration, no network.

    with Podman("crun", programs) as engine:
        done, cid = engine.run("busybox", "echo", "hi", options=["--rm"], name="x")
        engine.record(cid)             # podman's own record: the k8s-file log
        engine.serve()                 # its Docker-compatible API, on engine.host

crun refuses a hybrid host that has controllers left in its unified hierarchy ("cgroups in hybrid mode
not supported"). It is shown a hierarchy without any, in a mount namespace that all our podman
commands share; the containers' cgroups are the same as on a host that has none there.
"""

import atexit
import os
import shutil
import subprocess
import tempfile

import engine as docker
import harness
import records

# What sweep() may end besides docker's processes, when a killed run left it.
OURS = tuple(name for name in (b"podman", b"conmon", b"crun", b"ctr") if name not in docker.OURS)
docker.OURS += OURS

CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
log_driver = "k8s-file"
netns = "none"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{base}/root"
runroot = "{base}/run"
"""
UNIFIED = "/sys/fs/cgroup/unified/cgroup.controllers"
HOLDER = 'mount --make-rprivate / && { [ -z "$1" ] || mount --bind "$1" "$2"; } && echo ready && exec sleep infinity'


def missing(runtime):
    """What is not installed here, as a text; empty when all is there."""
    names = [n for n in ("podman", "conmon", runtime) if not shutil.which(n, path=docker.search_path())]
    if not shutil.which("busybox"):
        names.append("busybox-static")
    return ", ".join(names)


class Podman:
    """`programs` are files that the image `busybox` gets in /bin besides its applets."""

    def __init__(self, runtime, programs=()):
        self.runtime = runtime
        self.programs = list(programs)
        self.base = docker.make_base()
        self.socket = os.path.join(self.base, "podman.sock")
        self.host = "unix://" + self.socket
        self.holder = None
        self.service = None
        atexit.register(self.stop)

    def __enter__(self):
        self.write("containers.conf", CONFIGURATION.format(runtime=self.runtime))
        self.write("storage.conf", STORAGE.format(base=self.base))
        self.hold_namespace()
        self.podman("import", "-c", "ENV PATH=/bin", "-", "localhost/busybox", input=docker.busybox_tar(self.programs))
        return self

    def __exit__(self, *_):
        self.stop()

    def write(self, name, text):
        path = os.path.join(self.base, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def hold_namespace(self):
        """The mount namespace, as long as its first process lives."""
        hide = self.runtime == "crun" and os.path.exists(UNIFIED)
        words = [self.write("no-controllers", ""), UNIFIED] if hide else ["", ""]
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", HOLDER, "holder", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, start_new_session=True,
        )
        if self.holder.stdout.readline() != b"ready\n":
            raise docker.EngineError("no mount namespace for podman")

    def stop(self):
        """Removes the containers, ends what belongs to them, removes the directory."""
        if self.base is None:
            return
        if self.holder:
            self.podman("rm", "-af", "-t", "0", check=False)
        base, self.base = self.base, None
        atexit.unregister(self.stop)
        for process in (self.service, self.holder):
            if process:
                process.kill()
                process.wait()
        if self.holder:
            self.holder.stdout.close()
        docker.kill_all(base)
        docker.remove(base)

    def serve(self):
        """The API that Docker's clients speak, on self.host."""
        if self.service:
            return
        with open(os.path.join(self.base, "service.log"), "ab") as log:
            self.service = subprocess.Popen(
                self.command("system", "service", "-t", "0", self.host), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.environment(), start_new_session=True,
            )
        harness.wait_for(lambda: os.path.exists(self.socket), what="podman's socket")

    # The client.

    def command(self, *args):
        """The argv of podman with this storage, for a Popen of your own."""
        enter = ["nsenter", "-m", "-t", str(self.holder.pid)]
        return [*enter, "podman", "--tmpdir", os.path.join(self.base, "tmp"), *args]

    def environment(self):
        conf = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
        paths = {key: os.path.join(self.base or tempfile.gettempdir(), name) for key, name in conf.items()}
        return {**os.environ, "PATH": docker.search_path(), **paths}

    def podman(self, *args, check=True, timeout=120, input=None):
        """Runs it to its end; a CompletedProcess with bytes."""
        source = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(
            self.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
            env=self.environment(), check=False, **source,
        )
        if check and done.returncode != 0:
            raise docker.EngineError(f"podman {' '.join(args)}: status {done.returncode}: {done.stderr.decode()}")
        return done

    def run_words(self, image, *command, name=None, options=()):
        """Arguments of `podman run`, and the file that it will write the container's id to."""
        cidfile = os.path.join(self.base, f"{name}.cid")
        return ["run", "--name", name, "--cidfile", cidfile, *options, f"localhost/{image}", *command], cidfile

    def run(self, image, *command, name, options=(), check=True, timeout=240):
        """`podman run` to the container's end; the CompletedProcess and the container's id."""
        words, cidfile = self.run_words(image, *command, name=name, options=options)
        done = self.podman(*words, check=check, timeout=timeout)
        with open(cidfile, encoding="ascii") as file:
            return done, file.read()

    def create(self, image, *command, name, options=()):
        """A container that does not run yet; its id."""
        words = ["create", "--name", name, *options, f"localhost/{image}", *command]
        return self.podman(*words).stdout.decode().strip()

    def remove(self, *names):
        self.podman("rm", "-f", "-t", "0", *names, check=False)

    def record(self, name):
        """Podman's own record of the container: see records.py. Complete once the container has ended."""
        path = self.podman("inspect", "--format", "{{.HostConfig.LogConfig.Path}}", name).stdout.decode().strip()
        return read_cri(path)


def read_cri(path):
    """`<time> stdout|stderr F|P <bytes>`, a line each: the format of CRI and of podman's k8s-file. Conmon ends
    a stream's last half line with a part that has no bytes; what follows the last newline is a line of its own."""
    joiner = records.Joiner()
    with open(path, "rb") as file:
        for raw in file.read().split(b"\n")[:-1]:
            _time, stream, flag, text = raw.split(b" ", 3)
            joiner.add(stream.decode(), text, flag == b"P")
    return joiner.finish()
