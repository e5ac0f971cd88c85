"""Lists the files to check: those that git would commit."""

import functools
import pathlib
import subprocess

from tests.lib.build import REPOSITORY

CPP = (".h", ".cc")
BINARY = (".png", ".svg", ".gz", ".xz", ".bin", ".pcap", ".pcapng")


@functools.cache
def all_files():
    """Lists tracked files, and new ones that are not ignored; in a tree without git, every file."""
    listed = subprocess.run(["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in REPOSITORY.rglob("*") if not {"build", ".git"} & set(path.parts)]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def name(path):
    return str(path.relative_to(REPOSITORY))


def with_suffix(*suffixes):
    return [path for path in all_files() if path.suffix in suffixes]


def is_bpf(path):
    return path.relative_to(REPOSITORY).parts[0] == "bpf"


def is_product(path):
    return path.relative_to(REPOSITORY).parts[0] in ("control", "dataplane")


def is_corpus(path):
    """Tells whether a file is a fuzzer's input, which no rule applies to."""
    return "corpus" in path.relative_to(REPOSITORY).parts


def text_files():
    return [path for path in all_files()
            if path.suffix not in BINARY and not is_corpus(path) and b"\0" not in path.read_bytes()[:4096]]


def is_script(path, interpreter):
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and interpreter.encode() in first


def python_files():
    return [path for path in all_files() if path.suffix == ".py" or is_script(path, "python3")]


def shell_files():
    return [path for path in all_files() if path.suffix in (".sh", ".bash-completion") or is_script(path, "bash")]
