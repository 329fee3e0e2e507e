"""Reads the sources of the tests: which tests there are, and which ids each of them names.

A test names an id in the comment right above its function, in its body, or in its own name (ses_09_...), and counts only
when it stands in a test table."""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
C_TEST = re.compile(r"((?:/\*(?:[^*]|\*(?!/))*\*/\n)?)static void (\w+)\(void \*\*\w+\) \{\n(.*?)\n\}", re.S)
C_TABLE = re.compile(r"\b(?:cmocka_unit_test\w*|TEST)\((\w+)")
SCRIPT_TEST = re.compile(r"((?:^[ \t]*//[^\n]*\n)*)^[ \t]*(?:await )?(?:test|it)\((['\"`])(.*?)\2", re.M)


class Test:
    def __init__(self, path, name, text):
        self.file = str(path.relative_to(TOP))
        self.name = name
        self.text = text


def tests_in_c(path, text):
    listed = set(C_TABLE.findall(text))
    return [Test(path, name, comment + body) for comment, name, body in C_TEST.findall(text) if name in listed]


def tests_in_mjs(path, text):
    """A test reaches from the comment above it to the next one."""
    found = list(SCRIPT_TEST.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [Test(path, match.group(3), text[match.start():end]) for match, end in zip(found, ends)]


def tests_in_sh(path, text):
    """A shell test is one test: only its comments speak."""
    return [Test(path, path.name, "\n".join(line for line in text.split("\n") if line.lstrip().startswith("#")))]


READERS = {".c": tests_in_c, ".mjs": tests_in_mjs, ".sh": tests_in_sh}


def source_files(*folders):
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*")):
            if "node_modules" not in path.parts and path.is_file():
                yield path


def find_tests():
    tests = []
    for path in source_files("tests"):
        if path.suffix in READERS:
            tests += READERS[path.suffix](path, path.read_text(errors="replace"))
    return tests
