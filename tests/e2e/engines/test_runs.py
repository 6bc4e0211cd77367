# SPDX-License-Identifier: Apache-2.0
"""Many short containers, one after the other and 20 at once: each line is there, once, under its container's name.

RUNS_DOCKER and RUNS_OTHERS are the numbers of containers (20); half of them run 20 at once. A container's record
is what its attached client printed.
"""

import concurrent.futures

import case
import harness

RUNS_DOCKER = case.environment_number("RUNS_DOCKER", 20)
RUNS_OTHERS = case.environment_number("RUNS_OTHERS", 20)
AT_ONCE = 20


def command(word):
    """Lines of both streams, with the container's own word in each; the last one is a half."""
    return ("sh", "-c", f"echo {word} 1; echo {word} err >&2; echo {word} 2; printf '{word} half'")


def lines(word):
    word = word.encode()
    return {"stdout": [word + b" 1", word + b" 2", word + b" half"], "stderr": [word + b" err"]}


class Runs(case.EngineCase):
    needs_programs = ()

    def run_all(self, words, run_one):
        """run_one(word) for each: half of them in sequence, then half of them AT_ONCE at once; what each returned."""
        middle = len(words) // 2
        results = {word: run_one(word) for word in words[:middle]}
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results.update(zip(words[middle:], pool.map(run_one, words[middle:])))
        return results

    def compare(self, notail, words, printed, of_word):
        """`printed`: (stdout, stderr) by word. `of_word(entry)`: the word of the container that it is labelled with."""
        wanted = {word: {"stdout": case.split(out), "stderr": case.split(err)} for word, (out, err) in printed.items()}
        for word in words:
            self.assertEqual(wanted[word], lines(word), "what the client printed")

        def sort():
            found = {}
            for entry in notail.entries():
                word = of_word(entry)
                if word in wanted:
                    found.setdefault(word, {"stdout": [], "stderr": []})[entry.stream].append(entry.line)
            return found

        try:
            harness.wait_for(lambda: sort() == wanted, interval=1)
        except AssertionError:
            found = sort()
            wrong = [word for word in words if found.get(word) != wanted[word]]
            self.fail(f"{len(wrong)} of {len(words)} differ: {harness.shorten([(w, found.get(w)) for w in wrong])}")
        self.assertEqual(notail.stop(), 0)

    def test_docker(self):
        why = harness.why_no_engine()
        if why:
            self.skipTest(why)
        engine = harness.shared.engine()
        base = f"e2e-{harness.RUN_ID}-{harness.attempt()}-runs"
        words = [f"{base}-{i}" for i in range(RUNS_DOCKER)]
        notail = self.watch(f"{base}-*", options=("--docker", engine.host))

        def run_one(word):
            done = engine.run("busybox", *command(word), name=word, options=["--rm"])
            return done.stdout.encode(), done.stderr.encode()

        printed = self.run_all(words, run_one)
        self.compare(notail, words, printed, lambda entry: entry.labels["container"])
        self.assert_nothing_lost(notail, words)

    def podman_runs(self, runtime):
        why = case.why_no_podman(runtime)
        if why:
            self.skipTest(why)
        engine = case.podman_engine(runtime)
        engine.serve()
        base = f"e2e-{harness.RUN_ID}-{harness.attempt()}-{runtime}"
        words = [f"{base}-{i}" for i in range(RUNS_OTHERS)]
        notail = self.watch(f"{base}-*", options=("--docker", engine.host))

        def run_one(word):
            done, _ = engine.run("busybox", *command(word), name=word, options=["--rm"])
            return done.stdout, done.stderr

        printed = self.run_all(words, run_one)
        self.compare(notail, words, printed, lambda entry: entry.labels["container"])

    def test_podman_runc(self):
        self.podman_runs("runc")

    def test_podman_crun(self):
        self.podman_runs("crun")

    def podman_runs_by_id(self, runtime):
        why = case.why_no_podman(runtime)
        if why:
            self.skipTest(why)
        engine = case.podman_engine(runtime)
        base = f"e2e-{harness.RUN_ID}-{harness.attempt()}-{runtime}-id"
        words = [f"{base}-{i}" for i in range(RUNS_OTHERS)]
        ids = {}
        notail = self.watch()

        def run_one(word):
            done, cid = engine.run("busybox", *command(word), name=word, options=["--rm"])
            ids[cid] = word
            return done.stdout, done.stderr

        printed = self.run_all(words, run_one)
        self.compare(notail, words, printed, lambda entry: ids.get(entry.metadata.get("container_id")))

    def test_podman_runc_by_id(self):
        self.podman_runs_by_id("runc")

    def test_podman_crun_by_id(self):
        self.podman_runs_by_id("crun")

    def test_ctr(self):
        why = case.why_no_containerd()
        if why:
            self.skipTest(why)
        engine = case.containerd_engine()
        words = [engine.name() for _ in range(RUNS_OTHERS)]
        notail = self.watch(engine.prefix)

        def run_one(word):
            done = engine.run(word, *command(word))
            return done.stdout, done.stderr

        printed = self.run_all(words, run_one)
        short = {word[:12]: word for word in words}
        self.assertEqual(len(short), len(words))
        self.compare(notail, words, printed, lambda entry: short.get(entry.labels["container"]))
        self.assert_nothing_lost(notail, words)

    def assert_nothing_lost(self, notail, words):
        """Of a notail that has ended: both streams of each container have ended, and nothing of them was lost."""
        ours = [counts for counts in notail.streams() if counts["container"] in words]
        self.assertEqual(len(ours), 2 * len(words))
        for counts in ours:
            self.assertEqual((counts["lost"], counts["missing"], counts["open"]), (0, 0, False), counts)
