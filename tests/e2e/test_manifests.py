# SPDX-License-Identifier: Apache-2.0
"""What deploy/helm, deploy/kubernetes and deploy/argocd give a cluster is what the program needs, no more and no less."""

import functools
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import harness
import manifests
from manifests import find

USER = os.path.join(harness.TOP, "user")
SECRETS = {"auth": {"secret": "loki-auth"}, "tls": {"caConfigMap": "loki-ca", "secret": "loki-cert"}, "tenant": "shop"}
VARIANTS = {
    "default": {},
    "hardened": {"hardened": True},
    "no_rbac": {"rbac": {"create": False}},
    "kubelet": {"discovery": {"source": "kubelet", "kubelet": {"insecureSkipVerify": True},
                              "namespaces": {"include": ["shop"], "exclude": ["kube-*"]}}},
    "loki": {"loki": {"enabled": True}},
    "loki_s3": {"loki": {"enabled": True, "s3": {"enabled": True, "bucket": "logs", "region": "eu-north-1", "secret": "s3"}}},
    "events": {"events": {"enabled": True}},
    "events_namespaces": {"events": {"enabled": True, "namespaces": ["shop", "pay"], "replicas": 2}, "client": SECRETS},
    "openshift": {"openshift": {"enabled": True}, "events": {"enabled": True}, "loki": {"enabled": True}},
    "openshift_hardened": {"openshift": {"enabled": True}, "hardened": True},
    "monitored": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True},
                  "dashboard": {"enabled": True}, "events": {"enabled": True}, "networkPolicy": {"from": [{"podSelector": {}}]}},
    "secrets": {"client": {**SECRETS, "url": "https://loki.example.com"}, "cluster": "blue", "hardened": True},
    "token": {"client": {"auth": {"secret": "t", "type": "bearer"}, "tls": {"caSecret": "c", "insecureSkipVerify": True}}},
    "sizes": {"ringSize": "256MiB", "inFlight": "16MiB", "spool": {"maxSize": "8GiB", "hostPath": "/mnt/spool"}},
    "no_spool": {"spool": {"enabled": False}, "inFlight": "8MiB"},
    "own": {
        "image": {"repository": "registry.example.com:5000/notail", "digest": "sha256:" + "1" * 64},
        "imagePullSecrets": [{"name": "pull"}], "nameOverride": "lines", "hostNetwork": True, "metrics": {"port": 9999},
        "updateStrategy": {"type": "OnDelete"}, "podAnnotations": {"a": "b"}, "podLabels": {"team": "x"},
        "affinity": {"nodeAffinity": {}}, "resources": {"limits": {"memory": "1Gi", "cpu": "2"}}, "extraArgs": ["--stats"],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}], "priorityClass": {"create": False},
        "extraVolumes": [{"name": "x", "emptyDir": {}}], "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
        "clients": [{"url": "http://a"}, {"url": "http://b", "tenant_id": "t"}], "unpin": {"enabled": False},
        "config": {"preset": "alloy", "pipeline_stages": [{"decolorize": {}}], "log": {"level": "warn"}},
        "serviceAccount": {"create": False, "name": "mine"}, "tests": {"enabled": False},
        "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    },
}
# The events' watcher and the agent; the rest runs one command of Debian's.
NOTAILS = ("run", "events", "unpin", "check-loki")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def strings_of(text, name):
    """The texts of a C array."""
    return set(re.findall(r'"(\w+)"', text[text.index(name) : text.index("};", text.index(name))]))


PLAIN = {"kubernetes": ("", ()), "no_api": ("", ("no-api",)), "unpin": ("unpin", ())}


@functools.lru_cache(maxsize=None)
def chart(name, how=manifests.by_render):
    return manifests.render(VARIANTS[name], how=how)


@functools.lru_cache(maxsize=None)
def plain(name):
    directory, components = PLAIN[name]
    return manifests.kustomize(os.path.join(manifests.KUSTOMIZATION, directory), components)


class Manifests(harness.TestCase):
    variant = ""

    def setUp(self):
        super().setUp()
        if lacking := manifests.missing():
            self.skipTest(f"not installed: {lacking}")
        manifests.build()

    def _formatMessage(self, msg, standardMsg):
        return f"{self.variant}: {super()._formatMessage(msg, standardMsg)}"

    def each(self, found):
        for name, how in found:
            self.variant = f"{name} {how.__name__}" if how else name
            yield name, chart(name, how) if how else plain(name)
        self.variant = ""

    def charts(self):
        """(name, objects) of each variant."""
        yield from self.each((name, how) for how in manifests.helms() for name in VARIANTS)

    def plain(self):
        yield from self.each((name, None) for name in PLAIN)

    def everything(self):
        yield from self.charts()
        yield from self.plain()

    def test_schemas(self):
        for _, objects in self.everything():
            self.assertEqual([problem for o in objects for problem in manifests.check_object(o)], [])
            named = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
            self.assertEqual(len(named), len(set(named)), "two objects of one name")
            for o in objects:
                if o["kind"] not in manifests.CLUSTER:
                    self.assertTrue(o["metadata"].get("namespace"), o)

    def test_schemas_find_mistakes(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"image": "a"}]}}
        self.assertEqual(len(manifests.check_object(pod)), 1)  # a container without a name
        pod["spec"] = {"containers": [{"name": "a", "ports": [{"containerPort": "80"}], "colour": "red"}]}
        self.assertEqual(len(manifests.check_object(pod)), 2)

    def test_selectors(self):
        for _, objects in self.everything():
            running = list(manifests.pods(objects))
            for o, _, _ in running:
                if selector := o["spec"].get("selector"):
                    own = [p["kind"] for p, meta, _ in running if manifests.selects(selector, meta["labels"])]
                    self.assertEqual(own, [o["kind"]], o["metadata"]["name"])
            for o in objects:
                if o["kind"] in ("Service", "NetworkPolicy", "PodMonitor"):
                    selector = o["spec"].get("selector") or o["spec"]["podSelector"]
                    picked = [s for _, meta, s in running if manifests.selects(selector, meta["labels"])]
                    self.assertTrue(picked, o)
                    self.check_ports(o, picked)
                if o["kind"] == "ServiceMonitor":
                    services = [s for s in objects if s["kind"] == "Service"
                                and manifests.selects(o["spec"]["selector"], s["metadata"]["labels"])]
                    self.assertEqual([p["name"] for s in services for p in s["spec"]["ports"]], ["metrics"] * len(services))
                    reached = {meta["labels"]["app.kubernetes.io/component"] for s in services for _, meta, _ in running
                               if manifests.selects(s["spec"]["selector"], meta["labels"])}
                    self.assertEqual(reached, {"agent", "events"})

    def check_ports(self, o, picked):
        wanted = {p.get("targetPort") for p in o["spec"].get("ports", [])}
        wanted |= {p["port"] for e in o["spec"].get("ingress", []) for p in e["ports"]}
        wanted |= {e["port"] for e in o["spec"].get("podMetricsEndpoints", [])}
        for spec in picked:
            self.assertLessEqual(wanted, {p["name"] for c in spec["containers"] for p in c.get("ports", [])})

    def test_images_are_pinned(self):
        for name, objects in self.everything():
            images = {c["image"] for _, _, spec in manifests.pods(objects) for c in manifests.containers(spec)}
            self.assertTrue(images)
            for image in images:
                self.assertRegex(image, r"(:[0-9][0-9a-z.]*|@sha256:[0-9a-f]{64})$")
            if name == "own":
                self.assertEqual(images, {"registry.example.com:5000/notail@sha256:" + "1" * 64})

    def test_references(self):
        """Volumes, ConfigMaps and their keys, service accounts, roles, priority classes: what is named is there."""
        for name, objects in self.everything():
            named = {(o["kind"], o["metadata"]["name"]) for o in objects}
            for o, meta, spec in manifests.pods(objects):
                volumes = {v["name"]: v for v in spec.get("volumes", [])}
                volumes |= {v["metadata"]["name"]: {} for v in o["spec"].get("volumeClaimTemplates", [])}
                used = {m["name"] for c in manifests.containers(spec) for m in c.get("volumeMounts", [])}
                self.assertEqual(used, set(volumes))
                for volume in volumes.values():
                    if "configMap" in volume and volume["configMap"]["name"] != "loki-ca":
                        self.assertIn(("ConfigMap", volume["configMap"]["name"]), named)
                for c in manifests.containers(spec):
                    paths = [m["mountPath"] for m in c.get("volumeMounts", [])]
                    self.assertEqual(len(paths), len(set(paths)))
                account = spec.get("serviceAccountName")
                if account and account != "mine":
                    self.assertIn(("ServiceAccount", account), named)
                if spec.get("priorityClassName"):
                    self.assertIn(("PriorityClass", spec["priorityClassName"]), named)
            for o in objects:
                if o["kind"].endswith("RoleBinding") or o["kind"] == "RoleBinding":
                    self.assertIn((o["roleRef"]["kind"], o["roleRef"]["name"]), named)
                    for subject in o["subjects"]:
                        if name != "own":
                            self.assertIn((subject["kind"], subject["name"]), named)
                        self.assertEqual(subject["namespace"], "notail")

    def notails(self, objects):
        """(the pod's spec, container, command) of the containers that run notail itself."""
        for _, _, spec in manifests.pods(objects):
            for c in manifests.containers(spec):
                if c.get("args", [""])[0] in NOTAILS:
                    yield spec, c, c["args"][0]

    def test_commands(self):
        """Every option is one that notail knows. A file that is not there ends it before it does anything."""
        tried = set()
        for _, objects in self.everything():
            for _, c, command in self.notails(objects):
                if tuple(c["args"]) in tried:
                    continue
                tried.add(tuple(c["args"]))
                words = [f"/nowhere{word}" if word.startswith("/") else word for word in c["args"]]
                words += ["--pins", "/nowhere"] if command == "unpin" else []
                done = subprocess.run([harness.NOTAIL, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 0 if command == "unpin" else 1, f"{words}: {done.stderr}")
                self.assertNotIn("option", done.stderr)
            for _, _, spec in manifests.pods(objects):
                for c in manifests.containers(spec):
                    if c.get("command"):  # without a shell
                        self.assertIn(c["command"][0], ("cp", "sleep", "seq"))

    def mounted(self, objects, spec, c):
        """{path in the container: text, or None where it is not known here} of its ConfigMaps and Secrets."""
        files = {}
        volumes = {v["name"]: v for v in spec["volumes"]}
        for mount in c.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            if "secret" in volume or volume.get("configMap", {}).get("name") == "loki-ca":
                files[mount["mountPath"]] = None
            elif "configMap" in volume:
                data = find(objects, "ConfigMap", volume["configMap"]["name"])["data"]
                if "subPath" in mount:
                    files[mount["mountPath"]] = data[mount["subPath"]]
                else:
                    files |= {os.path.join(mount["mountPath"], key): text for key, text in data.items()}
        return files

    def configs(self, objects):
        """(spec, container, command, configuration as a text and read)."""
        for spec, c, command in self.notails(objects):
            if command != "unpin":
                text = self.mounted(objects, spec, c)["/etc/notail/notail.yaml"]
                yield spec, c, command, text, manifests.yaml.safe_load(text)

    def test_configurations(self):
        """No mistake, no warning, with the variables that the pod has; files that it names are mounted."""
        checked = set()
        for _, objects in self.everything():
            for spec, c, command, text, config in self.configs(objects):
                env = {e["name"]: e.get("value", "10.0.0.1") for e in c.get("env", [])}
                for named in re.findall(r"_file: (\S+)", text):
                    self.assertIn(os.path.dirname(named), self.mounted(objects, spec, c))
                if (text, str(env)) in checked:
                    continue
                checked.add((text, str(env)))
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    # Files that are named have to be there, and are not, here.
                    file.write(re.sub(r"(?m)^( *)(- )?\w+_file: .*\n", lambda m: f"{m[1]}- \n" if m[2] else "", text))
                    file.flush()
                    done = subprocess.run([harness.NOTAIL, "check-config", file.name], stdin=subprocess.DEVNULL, timeout=60,
                                          capture_output=True, text=True, env={"PATH": os.environ["PATH"], **env})
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr + text)
                self.assertNotIn("warning", done.stdout + done.stderr)

    def test_probes(self):
        for _, objects in self.everything():
            for spec, c, command, _, config in self.configs(objects):
                if command == "check-loki":
                    continue
                ports = {p["name"]: p["containerPort"] for p in c["ports"]}
                self.assertEqual(config["server"]["metrics_listen"].rpartition(":")[2], str(ports["metrics"]))
                probes = {key: c[key]["httpGet"] for key in c if key.endswith("Probe")}
                self.assertLessEqual({"livenessProbe", "readinessProbe"}, set(probes))
                for key, get in probes.items():
                    self.assertEqual(get, {"path": "/ready" if key == "readinessProbe" else "/healthz", "port": "metrics"})

    def agents(self):
        for name, objects in self.everything():
            if name != "unpin":
                [(spec, c)] = [(spec, c) for spec, c, command in self.notails(objects) if command == "run"]
                yield name, objects, spec, c

    def test_mounts(self):
        """The host's processes, its BPF file system, a spool that outlives the pod; the root is read-only."""
        for name, objects, spec, c in self.agents():
            self.assertTrue(spec["hostPID"])
            host = {v["name"]: v["hostPath"] for v in spec["volumes"] if "hostPath" in v}
            mounts = {m["mountPath"]: m for m in c["volumeMounts"] if m["name"] in host}
            spool = [] if name == "no_spool" else ["/var/lib/notail"]
            self.assertEqual(sorted(mounts), sorted(["/sys/fs/bpf", *spool]))
            bpf = mounts["/sys/fs/bpf"]
            self.assertEqual(host[bpf["name"]], {"path": "/sys/fs/bpf", "type": "Directory"})
            self.assertFalse(bpf.get("readOnly"))
            self.assertNotIn("mountPropagation", bpf)  # refused where the node's mounts are private
            self.assertTrue(c["securityContext"]["readOnlyRootFilesystem"])
            [config] = [config for _, _, command, _, config in self.configs(objects) if command == "run"]
            directory = config.get("spool", {}).get("directory", "/var/lib/notail/spool")
            self.assertEqual(os.path.dirname(directory) if spool else directory, spool[0] if spool else "off")
            self.assertGreater(spec["terminationGracePeriodSeconds"], 10)
            # One notail has the pins: the next one starts when the last one is gone.
            self.assertNotIn("maxSurge", find(objects, "DaemonSet", None if name in ("kubernetes", "no_api") else self.agent_name(name))
                             ["spec"]["updateStrategy"].get("rollingUpdate", {}))

    @staticmethod
    def agent_name(variant):
        return "logs-lines" if variant == "own" else "logs-notail"

    def test_memory(self):
        """The kernel charges the ring to the container; 40 MiB beside it and what is under way is what notail may have."""
        for name, objects, _, c in self.agents():
            [config] = [config for _, _, command, _, config in self.configs(objects) if command == "run"]
            ring = manifests.mebibytes(config.get("capture", {}).get("ring_size", "32MiB"))
            flight = manifests.mebibytes(config.get("limits", {}).get("memory", "64MiB"))
            resources = c["resources"]
            self.assertGreaterEqual(manifests.mebibytes(resources["limits"]["memory"]), ring + flight + 80)
            self.assertGreaterEqual(manifests.mebibytes(resources["requests"]["memory"]), ring + 24)
            self.assertEqual(resources["requests"]["cpu"], "50m")
            if name == "default":
                self.assertEqual((resources["requests"]["memory"], resources["limits"]), ("64Mi", {"memory": "256Mi"}))
            if name == "own":
                self.assertEqual(resources["limits"], {"memory": "1Gi", "cpu": "2"})

    def test_capabilities(self):
        """hardened: those that a run keeps, and SYS_ADMIN, which it starts with. Nothing else is privileged."""
        text = read(USER, "base", "privileges.c")
        kept = set(re.findall(r"BIT\(CAP_(\w+)\)", text[text.index("KEPT =") : text.index("MODERN")]))
        self.assertGreater(len(kept), 4)
        for name, objects in self.everything():
            hardened = VARIANTS.get(name, {}).get("hardened", False)
            for _, _, spec in manifests.pods(objects):
                for c in manifests.containers(spec):
                    context = {**spec.get("securityContext", {}), **c["securityContext"]}
                    captures = c.get("args", [""])[0] in ("run", "unpin")
                    self.assertTrue(context["readOnlyRootFilesystem"])
                    self.assertEqual(context.get("privileged", False), captures and not hardened)
                    if not captures:
                        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                        self.assertFalse(context["allowPrivilegeEscalation"])
                        self.assertFalse(spec.get("hostNetwork"))
                    elif hardened:
                        self.assertEqual(context["capabilities"]["drop"], ["ALL"])
                        self.assertEqual(set(context["capabilities"]["add"]), kept | {"SYS_ADMIN"})
                        self.assertNotIn("allowPrivilegeEscalation", context)  # refused beside SYS_ADMIN
                        self.assertEqual(context["appArmorProfile"], {"type": "Unconfined"})

    def test_app_armor_of_older_kubernetes(self):
        for o, meta, spec in manifests.pods(manifests.render({"hardened": True}, kube="1.29.3")):
            for c in manifests.containers(spec):
                self.assertNotIn("appArmorProfile", c["securityContext"])
                key = f"container.apparmor.security.beta.kubernetes.io/{c['name']}"
                if "add" in c["securityContext"]["capabilities"]:
                    self.assertEqual(meta["annotations"][key], "unconfined", o["kind"])

    def test_seccomp(self):
        """The profile allows what the program's own filter allows, and what its start needs; it is put where it is named."""
        profile = json.loads(read(manifests.CHART, "files", "seccomp.json"))
        self.assertEqual(profile["defaultAction"], "SCMP_ACT_ERRNO")
        allowed = {name for rule in profile["syscalls"] for name in rule["names"]}
        text = read(USER, "security", "filter.c")
        needed = strings_of(text, "ALLOWED[]") | set(re.findall(r'allow_by_first\(ctx, "(\w+)"', text))
        self.assertGreater(len(needed), 100)
        start = {"execve", "perf_event_open", "setns", "fsopen", "fsconfig", "fsmount", "seccomp"}
        self.assertEqual((needed | start) - allowed, set())
        self.assertEqual(allowed & {"ptrace", "mount", "umount2", "init_module", "finit_module", "kexec_load", "reboot",
                                    "process_vm_writev", "unshare", "pivot_root", "add_key", "userfaultfd"}, set())
        objects = chart("hardened")
        agent = find(objects, "DaemonSet", "logs-notail")["spec"]["template"]["spec"]
        [put], [c] = agent["initContainers"], agent["containers"]
        context = c["securityContext"]["seccompProfile"]
        self.assertEqual(context["type"], "Localhost")
        host = {v["name"]: v["hostPath"]["path"] for v in agent["volumes"] if "hostPath" in v}
        mounts = {m["mountPath"]: m["name"] for m in put["volumeMounts"]}
        self.assertEqual(host[mounts["/seccomp"]], "/var/lib/kubelet/seccomp")
        self.assertEqual(put["command"][-2:], ["/etc/notail/seccomp.json", "/seccomp/" + context["localhostProfile"]])
        self.assertEqual(json.loads(self.mounted(objects, agent, put)["/etc/notail/seccomp.json"]), profile)

    def rules(self, objects):
        """{account: {(group, resource): verbs}} of what is bound to it, and where: a namespace or *."""
        found = {}
        for o in objects:
            if o["kind"] in ("RoleBinding", "ClusterRoleBinding"):
                where = o["metadata"]["namespace"] if o["kind"] == "RoleBinding" else "*"
                same = [r for r in objects if r["kind"] == o["roleRef"]["kind"] and r["metadata"]["name"] == o["roleRef"]["name"]
                        and r["metadata"].get("namespace", "*") == where]
                [role] = same
                for subject in o["subjects"]:
                    for rule in role["rules"]:
                        for resource in rule["resources"]:
                            key = (where, *rule["apiGroups"], "/".join([resource, *rule.get("resourceNames", [])]))
                            found.setdefault(subject["name"], {})[key] = sorted(rule["verbs"])
        return found

    def test_permissions(self):
        """What the sources of pods and the events' watcher ask for, and a token only where there is something to ask."""
        pods = {("*", "", "pods"): ["list", "watch"]}
        kubelet = {("*", "", "nodes/pods"): ["get"], ("*", "", "nodes/proxy"): ["get"]}
        leases = lambda name: {("notail", "coordination.k8s.io", "leases"): ["create"],
                               ("notail", "coordination.k8s.io", f"leases/{name}"): ["get", "update"]}
        watching = lambda *places: {(p, "events.k8s.io", "events"): ["list", "watch"] for p in places}
        for name, objects in self.everything():
            found = self.rules(objects)
            expected = {}
            if name != "unpin":
                asked = {"no_rbac": {}, "no_api": {}, "kubelet": kubelet}.get(name, pods)
                account = {"own": "mine"}.get(name, "notail" if name in ("kubernetes", "no_api") else "logs-notail")
                expected = {account: asked} if asked else {}
                if name.startswith("openshift"):
                    constraints = ("notail", "security.openshift.io", "securitycontextconstraints/privileged")
                    expected["logs-notail-unpin"] = {constraints: ["use"]}
                if name in ("kubernetes", "no_api"):
                    expected["notail-events"] = leases("notail-events") | watching("*")
                elif VARIANTS[name].get("events"):
                    places = VARIANTS[name]["events"].get("namespaces", ["*"])
                    expected["logs-notail-events"] = leases("logs-notail-events") | watching(*places)
            self.assertEqual(found, expected)
            for _, _, spec in manifests.pods(objects):
                has = spec.get("automountServiceAccountToken", True)
                self.assertEqual(has, spec.get("serviceAccountName") in set(expected) - {"logs-notail-unpin"}, spec)
        for name, objects in self.everything():
            for _, _, command, _, config in self.configs(objects):
                if command == "events":
                    lease = config["events"]["lease"]
                    roles = {r for rules in self.rules(objects).values() for _, _, r in rules}
                    self.assertTrue(lease["enabled"])
                    self.assertIn("leases/" + lease.get("name", "notail-events"), roles)
                    self.assertEqual(config["events"].get("namespaces", []), VARIANTS.get(name, {}).get("events", {}).get("namespaces", []))
        for name, objects, spec, c in self.agents():
            [config] = [config for _, _, command, _, config in self.configs(objects) if command == "run"]
            source = config["discovery"]["kubernetes"]["source"]
            env = {e["name"]: e.get("value") or e["valueFrom"]["fieldRef"]["fieldPath"] for e in c["env"]}
            source = env.get("NOTAIL_PODS", "api") if source.startswith("$") else source
            self.assertEqual(source, {"no_rbac": "none", "no_api": "none", "kubelet": "kubelet"}.get(name, "api"))
            self.assertEqual(env["NODE_NAME"], "spec.nodeName")

    def test_unpin(self):
        """After an uninstallation: on each node where there was an agent, and gone when it has had its time."""
        for name, objects in self.charts():
            hooks = {o["kind"]: o for o in objects if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "post-delete"}
            if name == "own":
                self.assertEqual(hooks, {})
                continue
            weights = {kind: int(o["metadata"]["annotations"]["helm.sh/hook-weight"]) for kind, o in hooks.items()}
            # ArgoCD before 2.13 needs hooks to have a health, before 3.5 a namespace.
            account = {"ServiceAccount": -1, "Role": -1, "RoleBinding": -1} if "openshift" in name else {}
            self.assertEqual(weights, {**account, "DaemonSet": 0, "Job": 1})
            self.assertFalse(set(hooks) & manifests.CLUSTER)
            for o in hooks.values():
                self.assertIn("hook-succeeded", o["metadata"]["annotations"]["helm.sh/hook-delete-policy"])
            agent = find(objects, "DaemonSet", self.agent_name(name))["spec"]["template"]["spec"]
            spec = hooks["DaemonSet"]["spec"]["template"]["spec"]
            for key in ("nodeSelector", "tolerations", "hostPID"):
                self.assertEqual(spec[key], agent[key])
            self.assertEqual(spec["initContainers"][0]["args"], ["unpin"])
            for _, meta, pod in manifests.pods(list(hooks.values())):
                self.assertEqual(pod.get("serviceAccountName"), "logs-notail-unpin" if account else None)
                self.assertFalse(pod["automountServiceAccountToken"])

    def test_openshift(self):
        for name in ("openshift", "openshift_hardened"):
            objects = chart(name)
            constraints = [o for o in objects if o["kind"] == "SecurityContextConstraints"]
            users = {user for o in constraints for user in o["users"]}
            self.assertEqual(users, {"system:serviceaccount:notail:logs-notail"})
            for _, _, spec in manifests.pods(objects):
                for c in manifests.containers(spec):
                    context = {**spec.get("securityContext", {}), **c["securityContext"]}
                    if context.get("runAsUser") is not None:  # who else gets one of its namespace's
                        self.assertIn(spec["serviceAccountName"], ("logs-notail", "logs-notail-unpin"))
                    for o in constraints:
                        added = set(context["capabilities"].get("add", [])) if "capabilities" in context else set()
                        self.assertLessEqual(added, set(o["allowedCapabilities"]))
                        self.assertEqual(o["allowPrivilegedContainer"], name == "openshift")
                    if "add" in context.get("capabilities", {}) or c["name"] == "seccomp":
                        self.assertEqual(context["seLinuxOptions"], {"type": "spc_t"})

    def test_loki(self):
        for name in ("loki", "loki_s3"):
            objects = chart(name)
            service = find(objects, "Service", "logs-notail-loki")
            stateful = find(objects, "StatefulSet")
            config = manifests.yaml.safe_load(find(objects, "ConfigMap", "logs-notail-loki")["data"]["loki.yaml"])
            [claim] = stateful["spec"]["volumeClaimTemplates"]
            self.assertEqual(claim["spec"]["resources"]["requests"], {"storage": "20Gi"})
            self.assertEqual(config["limits_config"]["retention_period"], "90d")
            self.assertEqual(config["schema_config"]["configs"][0]["object_store"], "s3" if name == "loki_s3" else "filesystem")
            self.assertEqual(config["compactor"]["delete_request_store"], "s3" if name == "loki_s3" else "filesystem")
            self.assertEqual(config["server"]["http_listen_port"], service["spec"]["ports"][0]["port"])
            [c] = stateful["spec"]["template"]["spec"]["containers"]
            variables = set(re.findall(r"\$\{(\w+)\}", find(objects, "ConfigMap", "logs-notail-loki")["data"]["loki.yaml"]))
            self.assertEqual(variables, {e["name"] for e in c.get("env", [])})
            [agent] = [config for _, _, command, _, config in self.configs(objects) if command == "run"]
            self.assertEqual(agent["clients"], [{"url": "http://logs-notail-loki:3100"}])
        # compose has the same one, but for how long it keeps.
        [compose] = manifests.read(os.path.join(harness.TOP, "deploy/compose/loki.yaml"))
        config = manifests.yaml.safe_load(find(chart("loki"), "ConfigMap", "logs-notail-loki")["data"]["loki.yaml"])
        self.assertEqual({**config, "limits_config": {**config["limits_config"], "retention_period": "720h"}}, compose)

    def test_checksums(self):
        """A changed configuration starts new pods; a pod of its own is not one for every release."""
        def sums(values):
            objects = manifests.render({"events": {"enabled": True}, **values})
            return [find(objects, kind, name)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                    for kind, name in (("DaemonSet", "logs-notail"), ("Deployment", None))]
        before, same, agent, both = sums({}), sums({"hostNetwork": True}), sums({"ringSize": "8MiB"}), sums({"cluster": "x"})
        self.assertEqual(before, same)
        self.assertNotEqual(before[0], agent[0])
        self.assertEqual(before[1], agent[1])
        self.assertFalse(set(before) & set(both))

    def test_values_are_checked(self):
        for wrong in ({"image": {"tag": "latest"}}, {"colour": "red"}, {"client": {"url": "loki:3100"}}, {"ringSize": "33MiB"},
                      {"inFlight": 64}, {"discovery": {"source": "etcd"}}, {"loki": {"enabled": True, "s3": {"enabled": True}}},
                      {"hardened": "yes"}, {"metrics": {"port": "9465"}}, {"config": {"capture": {"ring_size": "64MiB"}}},
                      {"config": {"limits": {"memory": "9MiB"}}}, {"config": {"pipelin_stages": []}}, {"inFlight": "7MiB"},
                      {"config": {"discovery": {"kubernetes": {"source": "none"}}}}, {"metrics": {"address": "127.0.0.1"}},
                      {"config": {"server": {"metrics_listen": "off"}}}, {"spool": {"maxSize": "512KiB"}}):
            for how in manifests.helms():
                with self.subTest(f"{wrong} {how.__name__}"):
                    self.assertNotEqual(manifests.run_helm(how, wrong).returncode, 0)
        done = manifests.run_helm(manifests.by_render, {}, "1.20.0")
        self.assertIn("kubeVersion", done.stderr)

    def test_sizes_are_the_program_s(self):
        """What the schema lets through notail takes."""
        schema = json.loads(read(manifests.CHART, "values.schema.json"))["properties"]
        spool = schema["spool"]["properties"]["maxSize"]["pattern"]
        sizes = [("limits: {memory: %s}", schema["inFlight"]["pattern"], ("7MiB", "8MiB", "3999MiB", "4GiB", "5GiB")),
                 ("spool: {max_size: %s}", spool, ("1023KiB", "1MiB", "999GiB", "3999GiB"))]
        sizes += [("capture: {ring_size: %s}", "^%s$" % size, (size,)) for size in schema["ringSize"]["enum"]]
        for text, pattern, tried in sizes:
            for size in tried:
                if re.search(pattern, size):
                    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                        file.write("clients: [{url: http://x}]\n" + text % size)
                        file.flush()
                        done = subprocess.run([harness.NOTAIL, "check-config", file.name], stdin=subprocess.DEVNULL,
                                              capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        [known] = json.loads(read(harness.TOP, "deploy", "notail.schema.json"))["allOf"]
        keys = json.loads(read(manifests.CHART, "values.schema.json"))["definitions"]["config"]["propertyNames"]["enum"]
        self.assertEqual(sorted(keys), sorted(known["properties"]))

    def test_existing_priority_class(self):
        objects = manifests.render({"priorityClass": {"name": "system-node-critical"}})
        self.assertEqual([o for o in objects if o["kind"] == "PriorityClass"], [])
        agent = find(objects, "DaemonSet", "logs-notail")["spec"]["template"]["spec"]
        self.assertEqual(agent["priorityClassName"], "system-node-critical")

    def test_kubelet_of_newer_kubernetes(self):
        objects = manifests.render(VARIANTS["kubelet"], kube="1.33.1")
        self.assertEqual(self.rules(objects), {"logs-notail": {("*", "", "nodes/pods"): ["get"]}})

    def test_host_network_and_loopback(self):
        """The kubelet asks where notail listens; the events' watcher has a network of its own."""
        objects = manifests.render({"hostNetwork": True, "metrics": {"address": "127.0.0.1"}, "events": {"enabled": True}})
        for _, c, command, _, config in self.configs(objects):
            if command in ("run", "events"):
                hosts = {c[key]["httpGet"].get("host") for key in c if key.endswith("Probe")}
                self.assertEqual(hosts, {"127.0.0.1"} if command == "run" else {None})
                self.assertEqual(config["server"]["metrics_listen"], {"run": "127.0.0.1:9465", "events": "0.0.0.0:9465"}[command])

    def test_texts_stay_texts(self):
        """Whatever YAML would take them for."""
        odd = {"priorityClass": {"name": "1"}, "serviceAccount": {"name": "true"}, "hardened": True, "cluster": "on",
               "hardening": {"seLinuxType": "1"}, "podLabels": {"a": "123"}, "fullnameOverride": "123",
               "client": {"tenant": "0x12", "auth": {"secret": "1"}, "tls": {"caSecret": "2", "secret": "3"}},
               "loki": {"enabled": True, "storage": {"className": "1"},
                        "s3": {"enabled": True, "bucket": "123", "region": "no", "secret": "4"}},
               "events": {"enabled": True, "namespaces": ["123", "yes"]}, "openshift": {"enabled": True},
               "podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}, "spool": {"hostPath": "/a: b"}}
        objects = manifests.render(odd)
        self.assertEqual([problem for o in objects for problem in manifests.check_object(o)], [])
        for o in objects:
            self.assertIsInstance(o["metadata"]["name"], str)
            if "loki.yaml" in o.get("data", {}):
                s3 = manifests.yaml.safe_load(o["data"]["loki.yaml"])["common"]["storage"]["s3"]
                self.assertEqual((s3["bucketnames"], s3["region"]), ("123", "no"))

    def test_long_names(self):
        """Of a name of any length, names and labels that Kubernetes makes of objects' names fit."""
        for o in manifests.render({"fullnameOverride": "n" * 60, "loki": {"enabled": True}, "events": {"enabled": True}}):
            self.assertLessEqual(len(o["metadata"]["name"]), 63)
            if o["kind"] == "StatefulSet":
                self.assertLessEqual(len(o["metadata"]["name"]), 52)

    def test_schema_of_values_is_whole(self):
        def compare(schema, values, path):
            if schema.get("additionalProperties") is False:
                known = set(schema["properties"]) - {"claims", "global"}
                self.assertEqual(known, set(values), path)
                for key, value in values.items():
                    compare(schema["properties"][key], value, f"{path}.{key}")
        [values] = manifests.read(os.path.join(manifests.CHART, "values.yaml"))
        compare(json.loads(read(manifests.CHART, "values.schema.json")), values, "")

    def test_notes(self):
        for values in VARIANTS.values():
            said = manifests.run_helm(manifests.by_render, values, "1.31.0", "-notes")
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertIn("port-forward", said.stdout)

    def test_metrics_are_there(self):
        """Alerts and the dashboard name metrics that docs/metrics.md has; promtool reads the alerts."""
        documented = set(re.findall(r"\b(notail_\w+|process_\w+)", read(harness.TOP, "docs", "metrics.md")))
        objects = chart("monitored")
        groups = find(objects, "PrometheusRule")["spec"]
        dashboard = json.loads(find(objects, "ConfigMap", "logs-notail-dashboard")["data"]["notail.json"])
        expressions = [rule["expr"] for group in groups["groups"] for rule in group["rules"]]
        expressions += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assertGreater(len(expressions), 30)
        for expression in expressions:
            used = {name.removesuffix("_bucket") for name in re.findall(r"\b(notail_\w+|process_\w+)", expression)}
            self.assertEqual(used - documented, set(), expression)
        self.assertIn('daemonset="logs-notail"', expressions[len(groups["groups"][0]["rules"]) - 1])
        if not shutil.which("promtool"):
            return
        shown = [re.sub(r"\$__\w+", "5m", expression) for expression in expressions]
        groups["groups"].append({"name": "shown", "rules": [{"record": f"r{i}", "expr": e} for i, e in enumerate(shown)]})
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            manifests.yaml.safe_dump(groups, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "rules", file.name], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_dashboard(self):
        """Panels lie beside each other; what is lost is red from the first on, and nothing else is coloured."""
        panels = json.loads(read(manifests.CHART, "files", "dashboard.json"))["panels"]
        taken = set()
        for panel in panels:
            g = panel["gridPos"]
            cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
            self.assertFalse(cells & taken or max(cells)[0] > 23, panel["title"])
            taken |= cells
            self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            if panel["type"] == "stat":
                steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                bad = panel["title"] in ("Lost bytes", "Dropped lines", "Receivers that fail")
                self.assertEqual([s["value"] for s in steps], [None, 1] if bad else [None])
        self.assertEqual(len({panel["title"] for panel in panels}), len(panels))
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))

    def test_kubectl_agrees(self):
        """What these tests take for the plain manifests is what kubectl makes of them."""
        if not shutil.which("kubectl"):
            self.skipTest("no kubectl here")
        by_name = lambda objects: sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))
        for name, objects in self.plain():
            directory, components = PLAIN[name]
            got = manifests.kubectl_kustomize(os.path.join(manifests.KUSTOMIZATION, directory), components)
            self.assertEqual(by_name(got), by_name(objects))

    def test_plain_has_no_anchors(self):
        """kubectl 1.21 and 1.22 do not know them everywhere."""
        for path in glob.glob(os.path.join(manifests.KUSTOMIZATION, "**/*.yaml"), recursive=True):
            self.assertNotRegex(read(path), r"(?m)[:-] [&*]\w")

    def test_plain_is_the_chart(self):
        """The agent of the plain manifests is that of the chart's default values."""
        [(spec, c, _)] = [x for x in self.notails(plain("kubernetes")) if x[2] == "run"]
        agent = find(chart("default"), "DaemonSet", "logs-notail")["spec"]["template"]["spec"]
        [charted] = agent["containers"]
        for key in ("args", "env", "ports", "resources", "startupProbe", "livenessProbe", "readinessProbe"):
            self.assertEqual(c[key], charted[key])
        for key in ("hostPID", "tolerations", "nodeSelector", "terminationGracePeriodSeconds"):
            self.assertEqual(spec[key], agent[key])

    def test_argocd(self):
        [application] = manifests.read(os.path.join(harness.TOP, "deploy/argocd/application.yaml"))
        self.assertEqual(manifests.check_object(application), [])
        source = application["spec"]["source"]
        self.assertEqual(os.path.join(harness.TOP, source["path"]), manifests.CHART)
        self.assertNotIn(source["targetRevision"], ("HEAD", "main", "*"))
        objects = manifests.render(source["helm"]["valuesObject"])
        self.assertIn("cluster: production", find(objects, "ConfigMap", "logs-notail")["data"]["notail.yaml"])

    def test_versions(self):
        """One version everywhere: VERSION's."""
        version = read(harness.TOP, "VERSION").strip()
        [chart] = manifests.read(os.path.join(manifests.CHART, "Chart.yaml"))
        self.assertEqual(chart["appVersion"], version)
        for path in glob.glob(os.path.join(manifests.KUSTOMIZATION, "**/kustomization.yaml"), recursive=True):
            for image in manifests.read(path)[0].get("images", []):
                self.assertEqual(image["newTag"], version, path)
