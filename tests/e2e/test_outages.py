# SPDX-License-Identifier: Apache-2.0
"""Short forms of some of the fault tests; `make test-faults` has all, and the long forms."""

import os
import sys
import unittest

import harness

sys.path.append(os.path.join(harness.TOP, "tests/e2e/faults"))

import test_kill  # noqa: E402
import test_outage  # noqa: E402
import test_proxy  # noqa: E402

CHOSEN = (
    (test_kill.Kill, ("test_random_with_loki_down",)),
    (test_outage.Outage, ("test_long",)),
    (test_proxy.Proxied, ("test_client_certificate", "test_wrong_authority")),
)


def load_tests(*_):
    return unittest.TestSuite(kind(name) for kind, names in CHOSEN for name in names)
