"""Sluice on Debian 13: the two commands of a new user, in a root made by mmdebstrap."""

import re

import pytest

from tests.debian13.root import debian13_root


@pytest.fixture(scope="module")
def root():
    with debian13_root() as made:
        yield made


def test_it_is_debian_13(root):
    assert "VERSION_ID=\"13\"" in root.run("cat", "/etc/os-release")


def test_quickstart(root):
    """A new user's first command: builds with that release's compiler, and boots a guest with its QEMU."""
    said = root.run("deploy/quickstart")
    # Sent, received, lost, reordered, duplicated.
    assert re.search(r"steady stream, all along +([1-9]\d*) +\1 +0 +0 +0$", said, re.MULTILINE), said


def test_unit_and_netns(root):
    """A new user's second command. In the quickstart's build, so that nothing is compiled twice."""
    said = root.run("tests/run", "--preset", "release", "unit", "netns")
    assert " 0 failed" in said, said
