"""Formatting, types of Python, syntax of shell scripts, and headers that compile by themselves."""

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

from tests.lib import build
from tests.style import sources


def in_parallel(function, paths):
    """Lists the failures as text; `function` returns a path's problem, or ""."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [answer for answer in pool.map(function, paths) if answer]


def test_clang_format():
    def check(path):
        done = subprocess.run(["clang-format", "--dry-run", "--Werror", path], capture_output=True, text=True)
        lines = re.findall(rf"{path}:(\d+)", done.stderr)
        return f"clang-format -i {sources.name(path)}  (line {', '.join(dict.fromkeys(lines))})" if lines else ""

    wrong = in_parallel(check, [path for path in sources.with_suffix(*sources.CPP) if not sources.is_bpf(path)])
    assert not wrong, "\n" + "\n".join(wrong)


def test_mypy():
    """mypy finds calls that do not fit the function, above all in code that seldom runs."""
    options = ["--python-executable", "/usr/bin/python3", "--explicit-package-bases", "--scripts-are-modules",
               "--check-untyped-defs", "--no-strict-optional", "--ignore-missing-imports",
               "--disable-error-code", "var-annotated", "--cache-dir", os.devnull]
    done = subprocess.run(["/usr/bin/mypy", *options, *sources.python_files()], cwd=build.REPOSITORY,
                          env=os.environ | {"MYPYPATH": "deploy:."}, capture_output=True, text=True)
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def test_shell_scripts_parse():
    wrong = in_parallel(lambda path: subprocess.run(["bash", "-n", path], capture_output=True, text=True).stderr,
                        sources.shell_files())
    assert not wrong, "\n".join(wrong)


def test_shellcheck():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "--severity=warning", *sources.shell_files()], capture_output=True, text=True)
    assert done.returncode == 0, "\n" + done.stdout


def compile_flags():
    """Returns the compile flags of each top folder, with one definition of each macro."""
    commands = json.loads((build.folder() / "compile_commands.json").read_text())
    flags = {}
    for command in commands:
        words = shlex.split(command["command"])
        top = os.path.relpath(command["file"], build.REPOSITORY).split(os.sep)[0]
        keep = [word for word in words if word.startswith(("-I", "-D", "-std=", "-W", "-f"))]
        keep += [word for flag, folder in zip(words, words[1:]) if flag == "-isystem" for word in (flag, folder)]
        known = flags.setdefault(top, {})
        for word in keep:
            known.setdefault(word.split("=")[0] if word.startswith("-D") else word, word)
    return {top: list(known.values()) for top, known in flags.items()}


def is_included_first(header):
    """Tells whether the source with the header's name includes it first; every build checks such a header."""
    source = header.with_suffix(".cc")
    if not source.exists():
        return False
    first = re.search(r'^#include (\S+)', source.read_text(), re.MULTILINE)
    return first is not None and first[1] == f'"{sources.name(header)}"'


def test_headers_are_self_contained():
    flags = compile_flags()
    flags.setdefault("bpf", ["-std=c++20", f"-I{build.REPOSITORY}"])
    folder = build.folder() / "headers"
    folder.mkdir(exist_ok=True)
    shared = os.environ | {"CCACHE_BASEDIR": str(build.REPOSITORY), "CCACHE_NOHASHDIR": "1"}  # as CMakePresets.json

    def check(path):
        name = sources.name(path)
        source = folder / f"{name.replace(os.sep, '-')}.cc"
        source.write_text(f'#include "{name}"\n')
        done = subprocess.run(["ccache", "g++", *_pairs(flags[name.split(os.sep)[0]]), "-c", source, "-o",
                               source.with_suffix(".o")], env=shared, capture_output=True, text=True)
        return f"{sources.name(path)}:\n{done.stderr}" if done.returncode else ""

    headers = [path for path in sources.with_suffix(".h") if not sources.is_bpf(path) and not is_included_first(path)]
    wrong = in_parallel(check, [*headers, build.REPOSITORY / "bpf/sluice_abi.h"])
    assert not wrong, "\n" + "\n".join(wrong)


def _pairs(words):
    """Puts -isystem before each system folder; each is listed once."""
    return [part for word in words if word != "-isystem"
            for part in (("-isystem", word) if word.startswith("/") else (word,))]
