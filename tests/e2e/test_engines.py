# SPDX-License-Identifier: Apache-2.0
"""The tests of tests/e2e/engines, in their short form."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "engines"))

from test_cri import Cri  # noqa: E402,F401
from test_ctr import Ctr  # noqa: E402,F401
from test_kubelet import Kubelet  # noqa: E402,F401
from test_podman import Podman  # noqa: E402,F401
from test_runs import Runs  # noqa: E402,F401
