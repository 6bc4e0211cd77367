# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, by openssl.

    authority = Authority(directory)        # authority.certificate
    pair = authority.issue("loki.test")     # pair.certificate, pair.key
"""

import os
import re
import subprocess
import time

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

    def issue(self, name, expired=False, early=False):
        """A certificate for a DNS name or an IPv4 address, or one that ended yesterday, or begins tomorrow."""
        self.number += 1
        pair = Pair(os.path.join(self.directory, f"{self.name}-{self.number}-{name}"))
        request, extra = pair.key + ".csr", pair.key + ".ext"
        openssl("req", *NEW_KEY, "-nodes", "-new", "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        with open(extra, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={'IP' if re.fullmatch(r'[0-9.]+', name) else 'DNS'}:{name}\n")
        if early:
            self._sign_for_tomorrow(request, extra, pair.certificate)
            return pair
        days = "-1" if expired else "2"
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                days, "-extfile", extra, "-out", pair.certificate)
        return pair

    def _sign_for_tomorrow(self, request, extra, certificate):
        base = os.path.join(self.directory, f"{self.name}-{self.number}")
        with open(base + ".cnf", "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca = one\n[one]\ndatabase = {base}.index\nnew_certs_dir = {self.directory}\n"
                       "rand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n")
        with open(base + ".index", "w", encoding="ascii"):
            pass
        start, end = (time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400)) for days in (1, 2))
        openssl("ca", "-batch", "-notext", "-config", base + ".cnf", "-cert", self.certificate, "-keyfile",
                self.key, "-startdate", start, "-enddate", end, "-extfile", extra, "-in", request, "-out", certificate)
