# SPDX-License-Identifier: Apache-2.0
"""The short form of soak.py: a minute of random writers in six containers."""

import random

import harness
import soak


class Short(harness.TestCase):
    needs_programs = ("writer", "ways")

    def test_random_writers(self):
        why = soak.why_not()
        if why:
            self.skipTest(why)
        seed = random.randrange(10**6)
        with self.subTest(seed=seed):
            problems = soak.Soak(60, 6, seed).run().problems()
            self.assertEqual(problems, [], f"{len(problems)} problems")
