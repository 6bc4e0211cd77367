# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, by openssl.

    authority = Authority(directory)        # authority.certificate
    pair = authority.issue("loki.test")     # pair.certificate, pair.key
"""

import os
import re
import subprocess

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def openssl(*words):
    done = subprocess.run(["openssl", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(words)}: {done.stderr}")
    return done.stdout


class Pair:
    """The files of a certificate and its key."""

    def __init__(self, path):
        self.certificate, self.key = path + ".pem", path + ".key"


class Authority(Pair):
    def __init__(self, directory, name="ca"):
        super().__init__(os.path.join(directory, name))
        self.directory = directory
        self.name = name
        self.number = 0
        openssl("req", "-x509", *NEW_KEY, "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out",
                self.certificate)

    def issue(self, name, expired=False):
        """A certificate for a DNS name or an IPv4 address, or one that ended yesterday."""
        self.number += 1
        pair = Pair(os.path.join(self.directory, f"{self.name}-{self.number}-{name}"))
        request, extra = pair.key + ".csr", pair.key + ".ext"
        openssl("req", *NEW_KEY, "-nodes", "-new", "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        with open(extra, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={'IP' if re.fullmatch(r'[0-9.]+', name) else 'DNS'}:{name}\n")
        days = "-1" if expired else "2"
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                days, "-extfile", extra, "-out", pair.certificate)
        return pair
