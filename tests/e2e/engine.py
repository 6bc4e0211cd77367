# SPDX-License-Identifier: Apache-2.0
"""A real dockerd of our own: own data, own sockets, no network, images from busybox and the test programs.

    with Dockerd() as engine:
        engine.start("busybox", "sleep", "60", name="x")
        engine.record("x")          # docker's own record, see records.py

Everything lies below one temporary directory. stop() removes it with every process that belongs to
it, and atexit calls stop(). What a killed run left behind is removed by the next one: the directory
says whose it is. A process is ours when its command line names our directory; nothing else is killed.
"""

import atexit
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time

import records

PREFIX = "notail-e2e-"
DOCKERD = ["dockerd", "-l", "error", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"]
OURS = (b"dockerd", b"containerd", b"containerd-shim-runc-v2", b"runc", b"notail")
PROGRAMS = ("writer", "racer", "ways", "ways32", "ways_musl", "dynamic_musl", "huge", "traced", "numbered")


class EngineError(Exception):
    """The engine could not be started, or docker failed."""


def missing():
    """What is not installed here, as a text; empty when all is there."""
    names = [n for n in ("dockerd", "containerd", "runc", "docker") if not shutil.which(n, path=search_path())]
    if not shutil.which("busybox"):
        names.append("busybox-static")
    return ", ".join(names)


def search_path():
    """PATH with the sbin directories: dockerd and runc live there."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def process_start(pid):
    """The start time of a process in clock ticks: with the pid it names one process for ever. None: gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def processes_naming(text):
    """Pids of the processes that have `text` in their command line, children of those included."""
    parents, found = {}, set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                cmdline = file.read()
            with open(f"/proc/{entry}/stat", "rb") as file:
                parents[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        name = cmdline.split(b"\0")[0].rpartition(b"/")[2]
        if text.encode() in cmdline and name in OURS:
            found.add(int(entry))
    more = True
    while more:
        children = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= children
        more = bool(children)
    return found - {os.getpid()}


def kill_all(base):
    """Ends every process of the engine below `base`."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pids = processes_naming(base + "/")
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)


def unmount_below(base):
    """Unmounts what is mounted below `base`, deepest first."""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        points = [line.split()[1].replace("\\040", " ") for line in file]
    for point in sorted((p for p in points if p.startswith(base + "/")), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL, check=False)


def remove(base):
    unmount_below(base)
    shutil.rmtree(base, ignore_errors=True)


def sweep():
    """Removes what earlier runs left whose process is gone."""
    root = tempfile.gettempdir()
    for name in os.listdir(root):
        base = os.path.join(root, name)
        if not name.startswith(PREFIX):
            continue
        try:
            with open(os.path.join(base, "owner"), encoding="ascii") as file:
                pid, start = (int(word) for word in file.read().split())
        except (OSError, ValueError):
            continue
        if process_start(pid) != start:
            kill_all(base)
            remove(base)


def make_base():
    """A temporary directory that sweep() knows to be ours while this process lives."""
    base = tempfile.mkdtemp(prefix=PREFIX)
    with open(os.path.join(base, "owner"), "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {process_start(os.getpid())}\n")
    return base


def add_bytes(tar, name, data, mode=0o755):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def busybox_tar(programs=()):
    """A root file system: busybox with a link per applet, and the named programs in /bin."""
    busybox = shutil.which("busybox")
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for directory in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            tar.addfile(info)
        add_bytes(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
        add_bytes(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        tar.add(busybox, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo("bin/" + applet)
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
        for path in programs:
            tar.add(path, "bin/" + os.path.basename(path))
    return out.getvalue()


def append_files(tar, files):
    """The bytes of a tar with more files: {name in the image: path here}; links are followed."""
    out = io.BytesIO(tar)
    with tarfile.open(fileobj=out, mode="a", dereference=True) as archive:
        for name, path in files.items():
            archive.add(path, name)
    return out.getvalue()


class Dockerd:
    """One dockerd. `programs` are files that the image `busybox` gets in /bin besides its applets;
    `options` more options for dockerd (`--live-restore`)."""

    def __init__(self, programs=(), options=()):
        self.programs = list(programs)
        self.options = list(options)
        self.base = make_base()
        self.socket = os.path.join(self.base, "docker.sock")
        self.host = "unix://" + self.socket
        self.process = None
        self.containerd_socket = os.path.join(self.base, "exec/containerd/containerd.sock")
        if len(self.containerd_socket) > 100:
            raise EngineError(f"{self.base}: too long for a unix socket; set TMPDIR to a shorter one")
        atexit.register(self.stop)

    def __enter__(self):
        self.launch()
        self.load_images()
        return self

    def __exit__(self, *_):
        self.stop()

    # The daemon.

    def launch(self):
        """Starts dockerd and waits until it answers."""
        log = open(os.path.join(self.base, "dockerd.log"), "ab")
        arguments = ["--data-root", self.base + "/data", "--exec-root", self.base + "/exec", "-p", self.base + "/pid"]
        with log:
            self.process = subprocess.Popen(
                [*DOCKERD, *arguments, "-H", self.host, *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PATH": search_path()},
            )
        deadline = time.monotonic() + 90
        while self.docker("info", "--format", "{{.ID}}", check=False).returncode != 0:
            if self.process.poll() is not None:
                raise EngineError(f"dockerd ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise EngineError(f"dockerd does not answer:\n{self.log_tail()}")
            time.sleep(0.1)

    def terminate(self):
        """Ends dockerd alone, as an administrator would: the containers end, or go on with --live-restore."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def kill(self):
        """Ends dockerd alone, as the kernel does when memory runs out: its containers go on until the next launch()
        ends them, or beyond that with --live-restore. What they write waits in the shims' fifos meanwhile."""
        with open(os.path.join(self.base, "exec/containerd/containerd.pid"), encoding="ascii") as file:
            containerd = int(file.read())
        self.process.kill()
        self.process.wait()
        self.process = None
        # It dies with its parent, but the next dockerd would wait for it in vain where it finds it dying.
        deadline = time.monotonic() + 40
        while process_start(containerd) is not None and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self):
        """Removes the containers, ends dockerd and whatever else belongs to it, removes the directory."""
        if self.base is None:
            return
        base, self.base = self.base, None
        atexit.unregister(self.stop)
        if self.process and self.process.poll() is None:
            try:
                names = self.docker("ps", "-aq", check=False, timeout=30).stdout.split()
                if names:
                    self.docker("rm", "-f", *names, check=False, timeout=60)
            except EngineError:
                pass  # it hangs: whatever it has left is killed
            self.terminate()
        kill_all(base)
        remove(base)

    def log_tail(self):
        with open(os.path.join(self.base, "dockerd.log"), "rb") as file:
            return file.read()[-2000:].decode(errors="replace")

    def load_images(self):
        """busybox, made from the machine's busybox-static and the test programs."""
        self.import_image("busybox", busybox_tar(self.programs))

    def import_image(self, tag, tar, *changes):
        """An image from the bytes of a root file system's tar; `changes` are Dockerfile lines (`ENTRYPOINT ...`)."""
        options = [word for change in ("ENV PATH=/bin", *changes) for word in ("-c", change)]
        self.docker("import", *options, "-", tag, input=tar)

    # The client.

    def command(self, *args):
        """The argv of a docker client for this engine, for a Popen of your own."""
        return [shutil.which("docker", path=search_path()), "-H", self.host, *args]

    def environment(self):
        """For docker clients: this engine, and no configuration of this machine's user."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        config = os.path.join(self.base or tempfile.gettempdir(), "config")
        return {**environ, "DOCKER_HOST": self.host, "DOCKER_CONFIG": config}

    def docker(self, *args, check=True, timeout=120, input=None):
        """Runs the client to its end; a CompletedProcess with stdout and stderr as text (bytes with input)."""
        source = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(
                self.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                env=self.environment(), check=False, **source,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"docker {' '.join(args)}: no end within {timeout} s") from error
        done.stdout = done.stdout.decode(errors="replace")
        done.stderr = done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise EngineError(f"docker {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done

    @staticmethod
    def run_words(image, command, name, driver, options):
        words = ["run", "--network=none", "--log-driver", driver]
        if driver == "local":
            words += ["--log-opt", "max-size=2g"]
        if name:
            words += ["--name", name]
        return [*words, *options, image, *command]

    def run(self, image, *command, name=None, driver="local", options=(), check=True, timeout=240):
        """`docker run` to the container's end; the CompletedProcess."""
        words = self.run_words(image, command, name, driver, options)
        return self.docker(*words, check=check, timeout=timeout)

    def start(self, image, *command, name=None, driver="local", options=()):
        """`docker run -d`; the container's id."""
        words = self.run_words(image, command, name, driver, ["-d", *options])
        return self.docker(*words).stdout.strip()

    def wait(self, name, timeout=240):
        """Waits for the container's end; its exit status."""
        return int(self.docker("wait", name, timeout=timeout).stdout)

    def touch(self, name, *paths):
        """Makes empty files in the running container, without docker exec: where the container ends of one, that may
        wait for ever for the end of its session."""
        root = f"/proc/{self.inspect(name)['State']['Pid']}/root"
        for path in paths:
            open(root + path, "w", encoding="ascii").close()

    def remove(self, *names):
        self.docker("rm", "-f", *names, check=False)

    def inspect(self, name):
        return json.loads(self.docker("inspect", name).stdout)[0]

    # The record.

    def record(self, name):
        """Docker's own record of the container: see records.py. Complete once the container has ended."""
        info = self.inspect(name)
        driver = info["HostConfig"]["LogConfig"]["Type"]
        if driver == "json-file":
            return records.read_json_file(info["LogPath"])
        if driver == "local":
            return records.read_local(os.path.join(self.base, "data/containers", info["Id"], "local-logs"))
        raise EngineError(f"{name}: the log driver {driver} keeps no record")

    def logs(self, name, stream):
        """What `docker logs` prints of one stream, as bytes."""
        done = subprocess.run(
            self.command("logs", name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=120, env=self.environment(), check=True,
        )
        return done.stdout if stream == "stdout" else done.stderr
