# SPDX-License-Identifier: Apache-2.0
"""A line of notail's own, through the whole way to a receiver."""

import unittest

import harness
import prometheus
from test_status import LOCAL, StatusTestCase


class Canary(StatusTestCase):
    def test_canary(self):
        receiver = self.receiver()
        path = self.file(f"""
host: node7
server: {{listen: {LOCAL}}}
clients: [{{url: '{receiver.url}', name: main, batchwait: 10ms, external_labels: {{cluster: c}}}}]
capture: {{containers: ['{self.name("none")}']}}
discovery: {{docker: {{enabled: false}}}}
canary: {{interval: 1s}}
""")
        notail = self.plain_notail("run", "-c", path)

        def acknowledged():
            series = self.metrics(notail)
            key = ("notail_canary_age_seconds", frozenset({("client", "main")}))
            return key in series and prometheus.value(series, "notail_canary_lines_total") >= 2 and series

        series = harness.wait_for(acknowledged, what="two canaries")
        age = prometheus.value(series, "notail_canary_age_seconds", client="main")
        self.assertTrue(0 < age < harness.DEADLINE, age)
        self.assertGreater(prometheus.value(series, "notail_canary_last_timestamp_seconds", client="main"), 1.7e9)
        ((labels, _),) = receiver.streams().values()
        labels.pop("service_name", None)  # Loki's own
        self.assertEqual(labels, {"cluster": "c", "host": "node7", "job": "notail_canary"})
        self.assertEqual(notail.stop(), 0)


if __name__ == "__main__":
    unittest.main()
