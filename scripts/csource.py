"""Just enough reading of C for the checks: the code without comments, its declarations, its functions.

Not a parser. It relies on the house style: no preprocessor tricks around function heads, no K&R
definitions, attributes as upper-case macros or __attribute__ in front.
"""

import argparse
import pathlib
import re
import sys
from typing import Iterator, NamedTuple

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M | re.S)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|\b[A-Z][A-Z0-9_]*\s*\([^()]*\)")


class Item(NamedTuple):
    """A declaration or definition at the top level of a file."""

    head: str  # its text up to ";" or "{", without comments, attributes and initial values
    line: int  # where the head begins, from 1
    body: str  # what stands in the braces, "" for a declaration
    end_line: int
    documented: bool  # a /** comment stands right before it


class Function(NamedTuple):
    name: str
    line: int
    lines: int
    parameters: int
    body: str
    documented: bool


def blank(match: re.Match) -> str:
    """Spaces of the same shape, so that offsets and line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group())


def items(text: str) -> Iterator[Item]:
    docs = [m.end() for m in re.finditer(r"/\*\*[^*/].*?\*/", text, re.S)]
    code = DIRECTIVE.sub(blank, COMMENT_OR_STRING.sub(blank, text))
    position = 0
    while match := re.compile(r"\S").search(code, position):
        start = match.start()
        stop = re.compile(r"[;{]").search(code, start)
        if not stop:
            return
        end = stop.start()
        head = code[start:end]
        body = ""
        if code[end] == "{":
            close = closing(code, end)
            body = code[end + 1 : close]
            if is_function(head):
                end = close
            else:  # struct, union, enum or initial value: runs on to its semicolon
                end = code.find(";", close)
                end = len(code) - 1 if end < 0 else end
        documented = any(not text[d:start].strip() for d in docs if d <= start)
        yield Item(head, 1 + code.count("\n", 0, start), body, 1 + code.count("\n", 0, end), documented)
        position = end + 1


def closing(code: str, start: int) -> int:
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, start):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def is_function(head: str) -> bool:
    plain = ATTRIBUTE.sub(" ", head)
    return "(" in plain and "=" not in plain and not re.match(r"\s*(typedef|_Static_assert|static_assert)\b", plain)


def functions(text: str) -> Iterator[Function]:
    """Prototypes (with an empty body) and definitions."""
    for item in items(text):
        plain = ATTRIBUTE.sub(" ", item.head)
        match = re.search(r"(\w+)\s*\(", plain)
        if not match or not is_function(item.head):
            continue
        count = parameters(plain[match.end() :])
        yield Function(match.group(1), item.line, item.end_line - item.line + 1, count, item.body, item.documented)


def parameters(rest: str) -> int:
    """Number of parameters in the text after the opening parenthesis."""
    depth, count, seen = 0, 0, ""
    for char in rest:
        if char == ")" and depth == 0:
            break
        depth += {"(": 1, ")": -1}.get(char, 0)
        count += char == "," and depth == 0
        seen += char
    return 0 if seen.strip() in ("", "void") else count + 1


def public_headers(root: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in sorted(root.glob("src/*/*.h")) if not path.stem.endswith("_priv")]


def root_from_arguments(doc: str) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    return parser.parse_args().root


def finish(name: str, complaints: list[str], summary: str) -> None:
    """Print the complaints or the summary, and exit accordingly."""
    for complaint in complaints:
        print(complaint)
    print(f"{name}: {len(complaints)} complaints" if complaints else f"ok: {summary}")
    sys.exit(1 if complaints else 0)
