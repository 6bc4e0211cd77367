# SPDX-License-Identifier: Apache-2.0
"""Every test that tests/ITEMS.md names is there: the table cannot rot."""

import functools
import glob
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)


def rows():
    """(item, [test]) of each row."""
    with open(os.path.join(TESTS, "ITEMS.md"), encoding="utf-8") as file:
        found = re.findall(r"^\| (?!item )(.+?) \| ((?:`[^`]+` ?)*)\|$", file.read(), re.M)
    return [(item, re.findall(r"`([^`]+)`", tests)) for item, tests in found]


@functools.cache
def source(room, name):
    """The text of a C file of tests/bpf or tests/unit; empty when there is none."""
    paths = glob.glob(os.path.join(TESTS, room, "**", name + ".c"), recursive=True)
    if len(paths) != 1:
        return ""
    with open(paths[0], encoding="utf-8") as file:
        return file.read()


def is_in_source(name):
    room, _, test = name.partition("/")
    file, _, function = test.partition(".")
    # In the list of main(), not only written: TEST(x), cmocka_unit_test...(x.
    return re.search(rf"(?:TEST|cmocka_unit_test\w*)\(\s*{function}\b", source(room, file)) is not None


class Items(unittest.TestCase):
    def test_named_tests_exist(self):
        done = subprocess.run([sys.executable, os.path.join(HERE, "run"), "--list"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=True, text=True)
        known = set(done.stdout.split())
        wrong = [
            f"{item}: {name}" for item, names in rows() for name in names
            if not (is_in_source(name) if "/" in name else name in known)
        ]
        self.assertEqual(wrong, [])

    def test_each_item_has_a_test(self):
        self.assertGreater(len(rows()), 100)
        self.assertEqual([item for item, names in rows() if not names], [])

    def test_it_notices(self):
        self.assertTrue(is_in_source("unit/test_record.test_data"))
        self.assertFalse(is_in_source("unit/test_record.test_dat"))
        self.assertFalse(is_in_source("unit/test_nowhere.test_data"))
