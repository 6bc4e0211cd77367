# SPDX-License-Identifier: Apache-2.0
"""What a kubelet does with pods: those of kube_objects.py become containers of a CRI engine, with the labels, annotations,
cgroups and log files that a kubelet gives them.

    node = Kubelet(engine, cluster.put)         # called with each pod whose status changed
    running = node.run(pod)                     # sandbox, init containers in their order, the others
    running.id("web"), running.record("web")    # its id; its CRI log file
    running.restart("web")                      # another container of the same name in the same pod
    running.delete()
"""

import copy
import os
import time

import cri
import kube_objects
import podman

BEST_EFFORT = "/kubepods/besteffort"
HIERARCHIES = "/sys/fs/cgroup"
# Of each container that is not privileged, as a kubelet says it.
MASKED = ["/proc/" + name for name in ("asound", "acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats",
                                       "sched_debug", "scsi")] + ["/sys/firmware"]
READ_ONLY = ["/proc/" + name for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")]
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Kubelet:
    def __init__(self, engine, changed=lambda pod: None):
        self.engine, self.changed = engine, changed
        self.running = []

    def sandbox(self, pod):
        """The pod without any container yet."""
        self.changed(pod)
        one = RunningPod(self, pod)
        self.running.append(one)
        return one

    def run(self, pod):
        """Init containers to their end, or until they run where they are sidecars; then the others."""
        one = self.sandbox(pod)
        for container in one.spec("initContainers"):
            one.start(container["name"])
            if container.get("restartPolicy") != "Always":
                one.wait(container["name"])
        for container in one.spec("containers"):
            one.start(container["name"])
        return one

    def stop(self):
        for one in list(self.running):
            one.delete()
        for directory in (BEST_EFFORT, "/kubepods"):
            remove_cgroup(directory)


class RunningPod:
    def __init__(self, node, pod):
        self.node, self.engine = node, node.engine
        self.pod = copy.deepcopy(pod)
        self.ids = {}  # name -> the ids of its containers, the newest last
        self.logs = {}
        meta = self.pod["metadata"]
        self.uid = meta["uid"]
        self.cgroup = f"{BEST_EFFORT}/pod{self.uid}"
        self.log_directory = os.path.join(self.engine.base, "pods", f"{meta['namespace']}_{meta['name']}_{self.uid}")
        os.makedirs(self.log_directory)
        self.config = self._sandbox_config()
        self.sandbox = self.engine.call("RunPodSandbox", [(1, self.config)])[1].decode()
        self.engine.pods.append(self.sandbox)

    def spec(self, which):
        return self.pod["spec"].get(which, [])

    def container(self, name):
        for which in ("containers", "initContainers", "ephemeralContainers"):
            for one in self.spec(which):
                if one["name"] == name:
                    return one, which
        raise KeyError(name)

    def id(self, name):
        return self.ids[name][-1]

    def all_ids(self):
        return [cid for ids in self.ids.values() for cid in ids]

    # Its life.

    def start(self, name):
        """A container of that name; its id. The status has it when it is known to run, as a kubelet's has."""
        cid = self.create(name)
        self.engine.start(cid)
        self._set_status(name, {"running": {"startedAt": kube_objects.now()}})
        return cid

    def create(self, name):
        spec, _ = self.container(name)
        attempt = len(self.ids.get(name, ()))
        log_path = f"{name}/{attempt}.log"
        os.makedirs(os.path.join(self.log_directory, name), exist_ok=True)
        config = self._container_config(spec, attempt, log_path)
        cid = self.engine.call("CreateContainer", [(1, self.sandbox), (2, config), (3, self.config)])[1].decode()
        self.ids.setdefault(name, []).append(cid)
        self.engine.logs[cid] = self.logs[cid] = os.path.join(self.log_directory, log_path)
        return cid

    def wait(self, name, timeout=240):
        status = self.engine.wait(self.id(name), timeout)
        self._set_status(name, {"terminated": {"exitCode": status, "containerID": "containerd://" + self.id(name)}})
        return status

    def kill(self, name, grace=0):
        self.engine.call("StopContainer", [(1, self.id(name)), (2, grace)])

    def restart(self, name):
        self.kill(name)
        return self.start(name)

    def attach(self, spec):
        """An ephemeral container, as `kubectl debug` asks for one."""
        self.pod["spec"].setdefault("ephemeralContainers", []).append(spec)
        self.node.changed(self.pod)
        return self.start(spec["name"])

    def relabel(self, **labels):
        self.pod["metadata"]["labels"].update(labels)
        self.node.changed(self.pod)

    def record(self, name):
        """What its newest container's log file has; see records.py."""
        return podman.read_cri(self.logs[self.id(name)])

    def remove_container(self, name):
        self.engine.call("RemoveContainer", [(1, self.id(name))])

    def delete(self):
        """As a kubelet does: the containers, the sandbox, their cgroup. The log files stay, for the tests."""
        if self not in self.node.running:
            return
        self.node.running.remove(self)
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            self.engine.call(method, [(1, self.sandbox)])
        self.engine.pods.remove(self.sandbox)
        remove_cgroup(self.cgroup)

    def _set_status(self, name, state):
        _, which = self.container(name)
        field = {"containers": "containerStatuses", "initContainers": "initContainerStatuses",
                 "ephemeralContainers": "ephemeralContainerStatuses"}[which]
        statuses = self.pod["status"].setdefault(field, [])
        statuses[:] = [one for one in statuses if one["name"] != name]
        statuses.append({
            "name": name, "state": state, "lastState": {}, "ready": "running" in state, "image": kube_objects.IMAGE,
            "restartCount": len(self.ids[name]) - 1, "imageID": "sha256:0", "containerID": "containerd://" + self.id(name),
        })
        self.pod["status"]["phase"] = "Running"
        self.node.changed(self.pod)

    # What the runtime is told.

    def _namespaces(self, spec=None):
        pod = self.pod["spec"]
        pid = cri.NODE if pod.get("hostPID") else cri.POD if pod.get("shareProcessNamespace") else cri.CONTAINER
        target = (spec or {}).get("targetContainerName")
        network = cri.NODE if pod.get("hostNetwork") or not self.engine.network else cri.POD
        options = [(1, network), (2, cri.TARGET if target else pid), (3, cri.POD)]
        return options + ([(4, self.id(target))] if target else [])

    def _sandbox_config(self):
        meta = self.pod["metadata"]
        labels = {**meta["labels"], **self._identity()}
        annotations = {"kubernetes.io/config.seen": kube_objects.now(), "kubernetes.io/config.source": "api",
                       **meta["annotations"]}
        return [
            (1, [(1, meta["name"]), (2, self.uid), (3, meta["namespace"]), (4, 0)]), (3, self.log_directory),
            *cri.pairs(6, labels), *cri.pairs(7, annotations),
            (8, [(1, self.cgroup), (2, [(1, self._namespaces()), (5, self._privileged())])]),
        ]

    def _privileged(self):
        return int(any(c.get("securityContext", {}).get("privileged") for which in ("initContainers", "containers")
                       for c in self.spec(which)))

    def _identity(self):
        meta = self.pod["metadata"]
        return {"io.kubernetes.pod.name": meta["name"], "io.kubernetes.pod.namespace": meta["namespace"],
                "io.kubernetes.pod.uid": self.uid}

    def _container_config(self, spec, attempt, log_path):
        labels = {"io.kubernetes.container.name": spec["name"], **self._identity()}
        annotations = {
            "io.kubernetes.container.hash": "5f3b1a2c", "io.kubernetes.container.restartCount": str(attempt),
            "io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
            "io.kubernetes.container.terminationMessagePolicy": "File",
            "io.kubernetes.pod.terminationGracePeriod": "30",
        }
        return [
            (1, [(1, spec["name"]), (2, attempt)]), (2, [(1, spec["image"])]),
            *((3, word) for word in spec.get("command", ())), *((4, word) for word in spec.get("args", ())),
            *((6, [(1, e["name"]), (2, e["value"])]) for e in spec.get("env", ())),
            *((7, self._mount(m)) for m in spec.get("volumeMounts", ())),
            *cri.pairs(9, labels), *cri.pairs(10, annotations), (11, log_path), (14, int(spec.get("tty", False))),
            (15, [(1, self._resources(spec)), (2, self._security(spec))]),
        ]

    @staticmethod
    def _resources(spec):
        limit = spec.get("resources", {}).get("limits", {}).get("memory")
        return [(4, int(limit[:-2]) * UNITS[limit[-2:]])] if limit else []

    def _security(self, spec):
        context = {**self.pod["spec"].get("securityContext", {}), **spec.get("securityContext", {})}
        capabilities = context.get("capabilities", {})
        seccomp = context.get("seccompProfile", {})
        profile = {"Unconfined": [(1, 1)], "Localhost": [(1, 2), (2, seccomp.get("localhostProfile", ""))]}
        return [
            (1, [*((1, name) for name in capabilities.get("add", ())), *((2, name) for name in capabilities.get("drop", ()))]),
            (2, int(context.get("privileged", False))), (3, self._namespaces(spec)),
            *((field, [(1, context[key])]) for field, key in ((5, "runAsUser"), (12, "runAsGroup")) if key in context),
            (7, int(context.get("readOnlyRootFilesystem", False))),
            (11, int(not context.get("allowPrivilegeEscalation", True))), (15, profile.get(seccomp.get("type"), [])),
            *([] if context.get("procMount") == "Unmasked" or context.get("privileged") else
              [*((13, path) for path in MASKED), *((14, path) for path in READ_ONLY)]),
        ]

    def _mount(self, mount):
        volume = next(v for v in self.spec("volumes") if v["name"] == mount["name"])
        if "hostPath" in volume:
            path = volume["hostPath"]["path"]
        else:  # emptyDir
            path = os.path.join(self.log_directory + "-volumes", volume["name"])
            os.makedirs(path, exist_ok=True)
        propagation = {"HostToContainer": 1, "Bidirectional": 2}.get(mount.get("mountPropagation"), 0)
        return [(1, mount["mountPath"]), (2, path), (3, int(mount.get("readOnly", False))), (5, propagation)]


def remove_cgroup(path):
    """In each hierarchy, where it is empty: the last processes of a container may take a moment."""
    for hierarchy in [HIERARCHIES, *(os.path.join(HIERARCHIES, name) for name in os.listdir(HIERARCHIES))]:
        for _ in range(50):
            try:
                os.rmdir(hierarchy + path)
            except FileNotFoundError:
                break
            except OSError:
                if path in (BEST_EFFORT, "/kubepods"):
                    break  # somebody else's pods
                time.sleep(0.02)
