"""READMEs: each folder of the product has one, it names the folder's files, and everything it names exists."""

import fnmatch
import itertools
import pathlib
import re

from tests.style import sources

CODE = (".h", ".cc", ".c", ".proto")
PRODUCT = ("bpf", "control", "dataplane")
# The functions have one README, that of their catalogue.
COVERED_ABOVE = "dataplane/functions"

LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
# Words between backquotes that end like a file of ours or like a folder are paths. Absolute paths are of an installed
# system.
QUOTED = re.compile(r"`((?![/~])[\w./{},*-]*(?:\.(?:h|cc|c|py|proto|md|svg)|/))`")
# Placeholders, and files that a build makes.
ELSEWHERE = re.compile(r"^build/|NAME")


def readmes():
    return [path for path in sources.all_files() if path.name == "README.md"]


def alternatives(text):
    """Expands braces: "a{b,c}.h" -> ["ab.h", "ac.h"]."""
    parts = [part[1:-1].split(",") if part.startswith("{") else [part] for part in re.split(r"({[^}]*})", text)]
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def is_there(readme, name):
    """Tells whether the name exists in the README's folder or in one above it."""
    folders = [folder for folder in readme.parents if folder.is_relative_to(sources.REPOSITORY)]
    return any(next(folder.glob(name), None) is not None for folder in folders)


def listed(found):
    assert not found, "\n" + "\n".join(found)


def test_each_folder_of_the_product_has_one():
    folders = {path.parent for path in sources.with_suffix(*CODE)
               if path.relative_to(sources.REPOSITORY).parts[0] in PRODUCT}
    listed([f"{sources.name(folder)}: no README.md" for folder in sorted(folders)
            if not (folder / "README.md").exists() and sources.name(folder.parent) != COVERED_ABOVE])


def test_each_names_its_files():
    """A header's name stands for its source too; "render_*.h" names several files."""
    def unnamed(readme):
        patterns = {pathlib.PurePath(word).name.split(".")[0]
                    for quoted in re.findall(r"`([^`]+)`", readme.read_text(encoding="utf-8"))
                    for word in alternatives(quoted)}
        for path in sorted(readme.parent.iterdir()):
            stem = path.name.split(".")[0]
            if path.suffix in CODE and not any(fnmatch.fnmatchcase(stem, pattern) for pattern in patterns):
                yield f"{sources.name(readme)}: does not name {path.name}"

    listed([problem for readme in readmes() if readme.relative_to(sources.REPOSITORY).parts[0] in PRODUCT
            for problem in unnamed(readme)])


def test_what_they_name_is_there():
    listed([f"{sources.name(readme)}: {name}" for readme in readmes()
            for quoted in QUOTED.findall(readme.read_text(encoding="utf-8")) if not ELSEWHERE.search(quoted)
            for name in alternatives(quoted) if not is_there(readme, name.rstrip("/"))])


def test_links_resolve():
    listed([f"{sources.name(readme)}: {target}" for readme in readmes()
            for target in LINK.findall(readme.read_text(encoding="utf-8"))
            if not (readme.parent / target).exists()])
