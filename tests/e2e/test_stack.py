# SPDX-License-Identifier: Apache-2.0
"""How much stack the BPF programs take, as the verifiers before 6.8 add it up.

They refuse a program with more than 512 bytes in the frames of a chain of calls, each rounded up to 32, also where the
calls are never made. This machine's kernel counts less, so the programs are added up here as they were compiled.
"""

import os
import struct
import unittest

import harness

LIMIT = 480  # of 512: other compilers make other frames
FRAME = 32
R10 = 10
FUNCTION, SECTION = 2, 3  # types of symbols
MOV64, ADD64, CALL, LOAD_IMM64 = 0xBF, 0x07, 0x85, 0x18
LDX, ST, STX = 1, 2, 3


class Object:
    """The functions of an ELF file: frame size and what each calls or gives to a helper as a callback."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        (at,) = struct.unpack_from("<Q", self.data, 40)
        size, count = struct.unpack_from("<HH", self.data, 58)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, at + i * size) for i in range(count)]
        self.symbols = self.read_symbols()
        self.at = {(s[2], s[3]): s[0] for s in self.symbols if s[1] == FUNCTION}
        self.frames, self.calls = {}, {}
        relocations = self.read_relocations()
        for name, kind, section, value, length in self.symbols:
            if kind == FUNCTION:
                self.read_function(name, section, value, length, relocations.get(section, {}))

    def read_symbols(self):
        table = next(s for s in self.sections if s[1] == 2)
        names = self.sections[table[6]][4]
        symbols = []
        for at in range(table[4], table[4] + table[5], 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            text = self.data[names + name : self.data.index(b"\0", names + name)].decode()
            symbols.append((text, info & 15, section, value, size))
        return symbols

    def read_relocations(self):
        """By section: the symbols that instructions name, by their offsets."""
        found = {}
        for section in self.sections:
            if section[1] != 9:
                continue
            for at in range(section[4], section[4] + section[5], 16):
                offset, info = struct.unpack_from("<QQ", self.data, at)
                found.setdefault(section[7], {})[offset] = self.symbols[info >> 32]
        return found

    def read_function(self, name, section, value, length, relocations):
        frame, calls, copied = 0, set(), None
        start = self.sections[section][4]
        for at in range(value, value + length, 8):
            code, registers, offset, imm = struct.unpack_from("<BBhi", self.data, start + at)
            to, source = registers & 15, registers >> 4
            symbol = relocations.get(at)
            if (code & 7 in (ST, STX) and to == R10) or (code & 7 == LDX and source == R10):
                frame = max(frame, -offset)
            elif code == ADD64 and to == copied:
                frame = max(frame, -imm)
            elif code == CALL and source == 1 and not symbol:
                calls.add(self.at[section, at + 8 * (imm + 1)])
            elif code in (CALL, LOAD_IMM64) and symbol:
                base = (imm + 1) * 8 if code == CALL else imm
                calls.add(self.at.get((symbol[2], base if symbol[1] == SECTION else symbol[3])))
            copied = to if code == MOV64 and source == R10 else None
        self.frames[name] = frame
        self.calls[name] = calls - {None}

    def deepest(self, name):
        """The frames of the chain that takes most, rounded, from the function on."""
        below = max((self.deepest(call) for call in self.calls[name]), key=lambda c: sum(c.values()), default={})
        return {name: max(1, -(-self.frames[name] // FRAME)) * FRAME, **below}


class Stack(unittest.TestCase):
    def setUp(self):
        self.object = Object(os.path.join(harness.BUILD, "capture.bpf.o"))

    def test_calls_are_found(self):
        """Called, with a relocation and without one, and called back by a loop."""
        self.assertIn("nt_copy_piece", self.object.calls["nt_sys_exit"])
        self.assertIn("nt_copy_step", self.object.calls["nt_sys_exit"])
        self.assertIn("nt_copy_piece", self.object.calls["nt_copy_step"])
        self.assertGreater(self.object.frames["nt_sys_exit"], 64)

    def test_chains_fit_older_verifiers(self):
        for name in self.object.frames:
            with self.subTest(name):
                chain = self.object.deepest(name)
                self.assertLessEqual(sum(chain.values()), LIMIT, chain)


if __name__ == "__main__":
    unittest.main()
