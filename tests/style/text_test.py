"""The rules of .editorconfig and the house rules on files, for every text file."""

import re

from tests.style import sources

MAX_COLUMNS = 120
# Spelled so that the test does not match this line.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
# In these a line cannot be broken freely.
FREE_WIDTH = (".md", ".json", ".xml")


def problems(check):
    """Fails with each file's problems: `check` yields (line, problem) pairs for a file's text."""
    found = []
    for path in sources.text_files():
        text = path.read_bytes().decode("utf-8", errors="surrogateescape")
        found += [f"{sources.name(path)}:{line}: {what}" for line, what in check(path, text)]
    assert not found, "\n" + "\n".join(found)


def test_encoding_and_ends_of_lines():
    def check(path, text):
        if any("\udc80" <= char <= "\udcff" for char in text):
            yield 1, "not UTF-8"
        for number, line in enumerate(text.split("\n"), 1):
            if line.endswith("\r"):
                yield number, "ends with CR"
        if text and not text.endswith("\n"):
            yield text.count("\n") + 1, "no newline at the end"
        if text.endswith("\n\n"):
            yield text.count("\n"), "empty line at the end"

    problems(check)


def test_trailing_whitespace():
    problems(lambda path, text: ((number, "trailing whitespace") for number, line in enumerate(text.split("\n"), 1)
                                 if path.suffix != ".md" and line != line.rstrip(" \t")))


def test_line_width():
    problems(lambda path, text: ((number, f"{len(line)} columns, at most {MAX_COLUMNS}")
                                 for number, line in enumerate(text.split("\n"), 1)
                                 if path.suffix not in FREE_WIDTH and len(line) > MAX_COLUMNS))


def test_sources_have_a_header_with_their_name():
    """Without this rule a class may be cut into several sources. The exceptions are main files and tests."""
    problems(lambda path, text: [(1, "no header with its name, and no main")]
             if path.suffix == ".cc" and sources.is_product(path) and not path.with_suffix(".h").exists()
             and not path.stem.endswith("_test")
             and not re.search(r"^int main\(", text, re.MULTILINE) else [])


def test_nothing_is_left_to_do():
    problems(lambda path, text: ((number, "an unfinished thing is an issue, not a comment")
                                 for number, line in enumerate(text.split("\n"), 1) if UNFINISHED.search(line)))


def test_header_guards_are_named_after_the_file():
    def check(path, text):
        if path.suffix != ".h":
            return
        guard = re.sub(r"[^A-Z0-9]", "_", f"SLUICE_{sources.name(path)}".upper()) + "_"
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            yield 1, f"no guard {guard}"

    problems(check)


# The wall clock may be set at any moment, so no deadline and no measurement may come from it. A moment for people to
# read could; there is none yet (spdlog stamps the log by itself).
WALL_CLOCK = re.compile(r"absl::Now\(|absl::Time\b|system_clock|CLOCK_REALTIME|gettimeofday\("
                        r"|\btime\((NULL|nullptr|0|&)")


def test_no_deadline_comes_from_the_wall_clock():
    """dataplane/base/steady_time.h is for deadlines."""
    def check(path, text):
        if path.suffix not in sources.CPP or not sources.is_product(path):
            return
        for number, line in enumerate(text.split("\n"), 1):
            if WALL_CLOCK.search(line.partition("//")[0]):
                yield number, "the wall clock; for a deadline take SteadyTime (dataplane/base/steady_time.h)"

    problems(check)
