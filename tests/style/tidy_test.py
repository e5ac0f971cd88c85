"""clang-tidy on the product's sources.

A file without findings is not checked again until it or one of its includes changes: the cache keeps a hash of its
preprocessed text, for all clones. Files that changed of late come first. With SLUICE_TIDY_SECONDS, no other file is
begun when they are over: the test is skipped then, and names the files that are left.
"""

import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time

import pytest

from tests.lib import build
from tests.style import sources

sys.path.insert(0, str(build.REPOSITORY / "deploy"))
from testbed.cache import cache_folder  # noqa: E402

BUDGET_S = float(os.environ.get("SLUICE_TIDY_SECONDS", "inf"))
FOLDERS = ("dataplane", "control")


def changed_files():
    """Lists the files that changed in the working tree, and in the day before the last commit."""
    git = ["git", "-C", str(build.REPOSITORY)]
    last = int(subprocess.run([*git, "log", "-1", "--format=%ct"], capture_output=True, text=True).stdout or 0)
    asked = ([*git, "diff", "--name-only", "HEAD"],
             [*git, "log", f"--since={last - 24 * 3600}", "--name-only", "--format="])
    return {name for command in asked for name in
            subprocess.run(command, capture_output=True, text=True).stdout.split()}


def commands():
    """Returns each product source's compile command."""
    listed = json.loads((build.folder() / "compile_commands.json").read_text())
    wanted = {str(path) for path in sources.with_suffix(".cc") if sources.name(path).split(os.sep)[0] in FOLDERS}
    return {command["file"]: command for command in listed if command["file"] in wanted}


def fingerprint(command):
    words = [word for word in shlex.split(command["command"]) if "ccache" not in word]
    words = words[:words.index("-o")] + words[words.index("-o") + 2:]
    text = subprocess.run([*words, "-E", "-P"], cwd=command["directory"], capture_output=True).stdout
    rules = (build.REPOSITORY / ".clang-tidy").read_bytes()
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True).stdout
    return hashlib.sha256(text + rules + version).hexdigest()


def test_clang_tidy():
    deadline = time.monotonic() + BUDGET_S
    good = cache_folder() / "tidy"
    good.mkdir(exist_ok=True)
    listed = commands()
    changed = changed_files()
    order = sorted(listed, key=lambda file: (os.path.relpath(file, build.REPOSITORY) not in changed, file))

    def check(file):
        mark = good / fingerprint(listed[file])
        if mark.exists():
            return ""
        if time.monotonic() > deadline:
            return None
        done = subprocess.run(["clang-tidy", "-p", build.folder(), "--quiet", file], capture_output=True, text=True)
        if done.returncode:
            return done.stdout or done.stderr
        mark.touch()
        return ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = dict(zip(order, pool.map(check, order)))
    wrong = [answer for answer in answers.values() if answer]
    assert not wrong, "\n" + "\n".join(wrong)
    left = [os.path.relpath(file, build.REPOSITORY) for file, answer in answers.items() if answer is None]
    if left:
        pytest.skip(f"{BUDGET_S:.0f} s were over before {', '.join(left)}; all others are good")
