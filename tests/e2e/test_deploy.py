# SPDX-License-Identifier: Apache-2.0
"""What deploy/ holds is what the programs that read it accept."""

import os
import subprocess

import harness

DEPLOY = os.path.join(harness.TOP, "deploy")


class Deploy(harness.TestCase):
    def check(self, *command, **env):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              env={**os.environ, **env})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_compose(self):
        said = self.check("docker-compose", "-f", os.path.join(DEPLOY, "compose", "docker-compose.yml"), "config")
        for service in ("notail", "loki", "grafana"):
            self.assertIn(f"\n  {service}:\n", said)
        self.assertNotRegex(said, r"- (0\.0\.0\.0:)?\d+:\d+(/tcp)?\n")

    def test_compose_configuration(self):
        """Nothing of it is without effect."""
        said = self.check(harness.NOTAIL, "check-config", os.path.join(DEPLOY, "compose", "notail.yaml"))
        self.assertNotIn("warning", said)
