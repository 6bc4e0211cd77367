# SPDX-License-Identifier: Apache-2.0
"""The label grammar of LogQL, `{a="b", c="d"}`, as Loki's parser (Prometheus') reads it."""

import re

_SPACE = " \t\r\n"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
            "\\": "\\", "'": "'", '"': '"'}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REPLACEMENT = "\ufffd"


class ParseError(ValueError):
    def __init__(self, pos, why):
        super().__init__(f"1:{pos + 1}: parse error: {why}")


class _Parser:
    def __init__(self, text):
        self.text = text
        self.pos = 0

    def fail(self, why, pos=None):
        raise ParseError(self.pos if pos is None else pos, why)

    def space(self):
        while self.pos < len(self.text):
            if self.text[self.pos] in _SPACE:
                self.pos += 1
            elif self.text[self.pos] == "#":
                end = self.text.find("\n", self.pos)
                self.pos = len(self.text) if end < 0 else end
            else:
                return

    def peek(self):
        self.space()
        return self.text[self.pos] if self.pos < len(self.text) else ""

    def describe(self):
        char = self.peek()
        return f'"{char}"' if char else "end of input"

    def expect(self, char, where):
        if self.peek() != char:
            self.fail(f'unexpected {self.describe()} in {where}, expected "{char}"')
        self.pos += 1

    def name(self):
        self.space()
        match = _NAME.match(self.text, self.pos)
        if not match:
            self.fail(f'unexpected {self.describe()} in label set, expected identifier or "}}"')
        self.pos = match.end()
        return match.group()

    def string(self):
        quote = self.peek()
        if quote not in ('"', "'", "`") or not quote:
            self.fail(f"unexpected {self.describe()} in label set, expected string")
        start, out = self.pos, []
        self.pos += 1
        while True:
            if self.pos >= len(self.text):
                self.fail("unterminated quoted string", start)
            char = self.text[self.pos]
            self.pos += 1
            if char == _REPLACEMENT:
                self.fail("invalid UTF-8 rune", self.pos - 1)
            if char == quote:
                return "".join(out)
            if quote == "`":
                out.append(char)
            elif char == "\n":
                self.fail("unterminated quoted string", start)
            elif char == "\\":
                out.append(self.escape(quote, start))
            else:
                out.append(char)

    def escape(self, quote, start):
        char = self.text[self.pos:self.pos + 1]
        self.pos += 1
        if char in ('"', "'") and char != quote:
            self.fail("unknown escape sequence U+%04X" % ord(char), self.pos - 1)
        if char in _ESCAPES and char:
            return _ESCAPES[char]
        digits = {"x": 2, "u": 4, "U": 8}.get(char, 3 if char and char in "01234567" else 0)
        if not digits:
            if not char:
                self.fail("escape sequence not terminated", start)
            self.fail(f"unknown escape sequence U+{ord(char):04X} '{char}'", self.pos - 1)
        base = 16 if char in ("x", "u", "U") else 8
        if base == 8:
            self.pos -= 1
        text = self.text[self.pos:self.pos + digits]
        if len(text) < digits or not all(c in "0123456789abcdefABCDEF"[:None if base == 16 else 8]
                                         for c in text):
            self.fail("unknown escape sequence", start)
        self.pos += digits
        value = int(text, base)
        if char in ("u", "U"):
            if value > 0x10FFFF or 0xD800 <= value < 0xE000:
                self.fail("escape sequence is an invalid Unicode code point", start)
            return chr(value)
        if value > 255:
            self.fail("octal escape value > 255", start)
        return bytes([value]).decode("utf-8", "surrogateescape")


def parse(raw):
    """The pairs in the order of the text, as a list (duplicates included; empty values are none), or
    ParseError. Empty text is the empty set, and a quoted name is taken, as Loki does."""
    parser = _Parser(raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw)
    pairs = []
    if not parser.peek():
        return pairs
    match = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").match(parser.text, parser.pos)
    if match:
        pairs.append(("__name__", match.group()))
        parser.pos = match.end()
    parser.expect("{", "metric")
    while parser.peek() != "}":
        name = parser.string() if parser.peek() == '"' else parser.name()
        parser.expect("=", "label set")
        pairs.append((name, parser.string()))
        if parser.peek() == ",":
            parser.pos += 1
        elif parser.peek() != "}":
            parser.fail(f'unexpected {parser.describe()} in label set, expected "," or "}}"')
    parser.pos += 1
    if parser.peek():
        parser.fail(f"unexpected {parser.describe()} after the label set")
    return [(name, value) for name, value in pairs if value]


def parse_selector(text):
    """`{a="b", c=~"d"}` as a list of (name, operator, value)."""
    parser = _Parser(text)
    matchers = []
    parser.expect("{", "stream selector")
    while parser.peek() != "}":
        name = parser.name()
        parser.space()
        operator = next((o for o in ("=~", "!~", "!=", "=") if parser.text.startswith(o, parser.pos)),
                        None)
        if operator is None:
            parser.fail(f"unexpected {parser.describe()}, expected a matcher")
        parser.pos += len(operator)
        matchers.append((name, operator, parser.string()))
        if parser.peek() == ",":
            parser.pos += 1
        elif parser.peek() != "}":
            parser.fail(f'unexpected {parser.describe()}, expected "," or "}}"')
    parser.pos += 1
    if parser.peek():
        parser.fail("only stream selectors are supported")
    if not any(operator == "=" and value or operator == "=~" and not re.fullmatch(value, "")
               for _, operator, value in matchers):
        raise ParseError(0, "queries require at least one regexp or equality matcher that does not "
                            "have an empty-compatible value")
    return matchers


def matches(matchers, labels):
    for name, operator, value in matchers:
        have = labels.get(name, "")
        good = have == value if operator in ("=", "!=") else bool(re.fullmatch(value, have))
        if good != (operator in ("=", "=~")):
            return False
    return True


def quote(value):
    """As Go's %q prints it, near enough for printable text."""
    out = []
    for char in value:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\a\b\f\n\r\t\v":
            out.append("\\" + "abfnrtv"["\a\b\f\n\r\t\v".index(char)])
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\x{ord(char):02x}" if ord(char) < 128 else f"\\u{ord(char):04x}")
    return '"' + "".join(out) + '"'


def text(pairs):
    """The stream as Loki names it in its answers: sorted, `{a="b", c="d"}`."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in sorted(pairs)) + "}"
