# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects of deploy/: the chart rendered, the plain manifests put together, both as lists of dicts.

The chart is rendered by tests/helm/render.go, and by helm itself where that is on PATH; kustomizations by what of
kustomize they use, and by kubectl where that is on PATH: `helms` and `kustomizes` name the ways.
"""

import copy
import functools
import os
import re
import shutil
import subprocess
import tempfile

import harness

try:
    import yaml
    from kubernetes import client as kubernetes
except ImportError:
    yaml = kubernetes = None

CHART = os.path.join(harness.TOP, "deploy/helm/notail")
KUSTOMIZATION = os.path.join(harness.TOP, "deploy/kubernetes")
RENDER = os.path.join(harness.BUILD, "tests/render")
RELEASE, NAMESPACE = "logs", "notail"

# What kubernetes has of these, and a client of 1.22 has not.
NEWER = {"appArmorProfile"}
API = {
    "ConfigMap": "v1", "Namespace": "v1", "Pod": "v1", "Service": "v1", "ServiceAccount": "v1", "DaemonSet": "apps/v1",
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1",
    "PriorityClass": "scheduling.k8s.io/v1", "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1", "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
}
# Of other projects, with no schema to be had: the kinds alone.
FOREIGN = {
    "PodMonitor": "monitoring.coreos.com/v1", "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1", "Application": "argoproj.io/v1alpha1",
    "SecurityContextConstraints": "security.openshift.io/v1",
}
CLUSTER = {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "SecurityContextConstraints"}


def missing():
    """What is not installed here, as a text; empty when all is there."""
    names = [] if yaml else ["python3-kubernetes"]
    if not shutil.which("go"):
        names.append("golang-go")
    return ", ".join(names)


@functools.lru_cache(maxsize=None)
def build():
    """Makes the renderer, where its source is newer."""
    subprocess.run(["make", "-s", f"BUILD={harness.BUILD}", RENDER], cwd=harness.TOP, stdin=subprocess.DEVNULL, check=True,
                   timeout=240)


def by_render(files, kube, *options):
    words = [word for file in files for word in ("-f", file)]
    return [RENDER, "-n", NAMESPACE, "-kube", kube, *options, *words, RELEASE, CHART]


def by_helm(files, kube, *_options):
    words = [word for file in files for word in ("-f", file)]
    return ["helm", "template", RELEASE, CHART, "-n", NAMESPACE, "--kube-version", kube, *words]


def helms():
    return [by_render, *([by_helm] if shutil.which("helm") else [])]


def run_helm(how, values, kube="1.31.0", *options):
    """The CompletedProcess of rendering the chart with these values, a dict."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return subprocess.run(how([file.name], kube, *options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)


def render(values, kube="1.31.0", how=by_render):
    done = run_helm(how, values, kube)
    if done.returncode:
        raise AssertionError(done.stderr)
    return parse(done.stdout)


def parse(text):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, loader) if document]


def read(path):
    with open(path, encoding="utf-8") as file:
        return parse(file.read())


# Plain manifests.

def merge(base, patch):
    """A strategic merge of what is used here: lists of things with names by their names."""
    for key, value in patch.items():
        if isinstance(value, dict) and key in base:
            merge(base[key], value)
        elif isinstance(value, list) and key in base:
            for item in value:
                same = [have for have in base[key] if have["name"] == item["name"]]
                merge(same[0], item) if same else base[key].insert(0, item)
        else:
            base[key] = value


def apply_patch(objects, patch):
    patch = yaml.safe_load(patch)
    removes = patch.pop("$patch", "") == "delete"
    found = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (patch["kind"], patch["metadata"]["name"])]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects for {patch}")
    objects.remove(found[0]) if removes else merge(found[0], patch)


def set_images(node, images):
    if isinstance(node, list):
        for item in node:
            set_images(item, images)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "image" and value in images:
                node[key] = images[value]
            else:
                set_images(value, images)


def kustomize(directory, components=()):
    """The objects of a kustomization; `components` more of those that it has."""
    [k] = read(os.path.join(directory, "kustomization.yaml"))
    known = {"apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator"}
    if set(k) - known:
        raise AssertionError(f"{directory}: {set(k) - known}: this test does not know what that does")
    objects = [o for name in k["resources"] for o in copy.deepcopy(read(os.path.join(directory, name)))]
    for generator in k.get("configMapGenerator", []):
        data = {}
        for entry in generator["files"]:
            key, _, name = entry.rpartition("=")
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                data[key or name] = file.read()
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data})
    generated = {generator["name"] for generator in k.get("configMapGenerator", [])}
    for rule in (rule for o in objects for rule in o.get("rules", [])):
        if generated & set(rule.get("resourceNames", [])):
            raise AssertionError(f"kustomize takes that for a ConfigMap and adds its hash: {rule}")
    for name in components:
        for entry in read(os.path.join(directory, name, "kustomization.yaml"))[0]["patches"]:
            apply_patch(objects, entry["patch"])
    for o in objects:
        if o["kind"] not in CLUSTER:
            o["metadata"]["namespace"] = k["namespace"]
    set_images(objects, {i["name"]: f"{i['newName']}:{i['newTag']}" for i in k["images"]})
    return objects


def kubectl_kustomize(directory, components=()):
    """By kubectl. ConfigMaps lose the hashes of their names, there and where a volume has one; elsewhere they stay."""
    with tempfile.TemporaryDirectory() as copied:
        shutil.copytree(directory, copied, dirs_exist_ok=True)
        if components:
            with open(os.path.join(copied, "kustomization.yaml"), "a", encoding="utf-8") as file:
                yaml.safe_dump({"components": list(components)}, file)
        done = subprocess.run(["kubectl", "kustomize", copied], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    objects = parse(done.stdout)
    named = [o["metadata"] for o in objects if o["kind"] == "ConfigMap"]
    named += [v["configMap"] for _, _, spec in pods(objects) for v in spec.get("volumes", []) if "configMap" in v]
    for one in named:
        one["name"] = re.sub(r"-\w{10}$", "", one["name"])
    return objects


# Schemas: those of the API's Python client.

def check(node, kind, path=""):
    """What is wrong with a part of an object, as texts; `kind` as the client writes it: V1Pod, list[str]."""
    if node is None:
        return [f"{path}: null"]
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(node, list):
            return [f"{path}: {node!r} is no list"]
        return [p for i, item in enumerate(node) for p in check(item, match[1], f"{path}[{i}]")]
    if match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        if not isinstance(node, dict):
            return [f"{path}: {node!r} is no map"]
        return [p for key, item in node.items() for p in check(item, match[1], f"{path}.{key}")]
    plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}
    if kind in plain:
        fits = isinstance(node, plain[kind]) and (kind == "bool" or not isinstance(node, bool))
        return [] if fits else [f"{path}: {node!r} is not of the type {kind}"]
    if kind in ("object", "datetime"):
        return []
    return check_model(node, getattr(kubernetes, kind), path)


def check_model(node, model, path):
    if not isinstance(node, dict):
        return [f"{path}: {node!r} is no map"]
    names = {key: attribute for attribute, key in model.attribute_map.items()}
    problems = [f"{path}.{key}: unknown" for key in node if key not in names and key not in NEWER]
    for key, item in node.items():
        if key in names:
            problems += check(item, model.openapi_types[names[key]], f"{path}.{key}")
    try:
        model(**{names[key]: item for key, item in node.items() if key in names})
    except ValueError as error:  # what is required
        problems.append(f"{path}: {error}")
    return problems


def check_object(o):
    kind, name = o["kind"], o["metadata"]["name"]
    expected = API.get(kind) or FOREIGN.get(kind)
    if o["apiVersion"] != expected:
        return [f"{kind} {name}: {o['apiVersion']}, not {expected}"]
    return check(o, "V1" + kind, f"{kind} {name}") if kind in API else []


# What is in them.

def pods(objects):
    """(The object, its pod's metadata and spec) of all that runs something."""
    for o in objects:
        if o["kind"] == "Pod":
            yield o, o["metadata"], o["spec"]
        elif "template" in o.get("spec", {}):
            yield o, o["spec"]["template"].get("metadata", {}), o["spec"]["template"]["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def find(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of {kind} {name or ''}")
    return found[0]


def selects(selector, labels):
    """Of a label selector, or of a Service's."""
    if not {"matchLabels", "matchExpressions"} & set(selector):
        selector = {"matchLabels": selector}
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for e in selector.get("matchExpressions", []):
        if e["operator"] != "In":
            raise AssertionError(e)
        if labels.get(e["key"]) not in e["values"]:
            return False
    return True


def mebibytes(text):
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)B?", str(text)).groups()
    return int(number) * {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}[unit]
