# SPDX-License-Identifier: Apache-2.0
"""Reads stdin as fast as it comes into a file, and notes when each piece arrived: consumer.py DATA TIMES.
TIMES gets a pair of 64-bit numbers for each read: CLOCK_REALTIME in ns, and the size of DATA after it."""

import os
import struct
import sys
import time


def main():
    buffer = memoryview(bytearray(1 << 20))
    size = 0
    with open(sys.argv[1], "wb", buffering=0) as data, open(sys.argv[2], "wb") as times:
        while True:
            n = os.readv(0, [buffer])
            now = time.time_ns()
            if n == 0:
                return
            data.write(buffer[:n])
            size += n
            times.write(struct.pack("<QQ", now, size))


if __name__ == "__main__":
    main()
