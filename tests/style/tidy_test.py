"""clang-tidy on the product's sources, within a budget of time.

A file without findings is not checked again until it or one of its includes changes: the build folder keeps a hash of
its preprocessed text. Files that git reports as changed come first. When the time is over, the test names the files
that are left, and is skipped; the next run goes on with them.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import time

import pytest

from tests.lib import build
from tests.style import sources

BUDGET_S = float(os.environ.get("SLUICE_TIDY_SECONDS", 120))
FOLDERS = ("dataplane", "control")


def changed_files():
    """Lists the files that changed in the working tree and in the last commit."""
    done = subprocess.run(["git", "-C", build.REPOSITORY, "diff", "--name-only", "HEAD~1"], capture_output=True,
                          text=True)
    return set(done.stdout.split())


def commands():
    """Returns each product source's compile command."""
    listed = json.loads((build.folder() / "compile_commands.json").read_text())
    wanted = {str(path) for path in sources.with_suffix(".cc") if sources.name(path).split(os.sep)[0] in FOLDERS}
    return {command["file"]: command for command in listed if command["file"] in wanted}


def fingerprint(command):
    words = [word for word in shlex.split(command["command"]) if "ccache" not in word]
    words = words[:words.index("-o")] + words[words.index("-o") + 2:]
    text = subprocess.run([*words, "-E"], cwd=command["directory"], capture_output=True).stdout
    rules = (build.REPOSITORY / ".clang-tidy").read_bytes()
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True).stdout
    return hashlib.sha256(text + rules + version).hexdigest()


def test_clang_tidy():
    deadline = time.monotonic() + BUDGET_S
    good = pathlib.Path(build.folder() / "tidy-good")
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
