"""The package under test, and the one that follows it."""

import sys

import pytest

from tests.lib import build
from tests.lib.command import run

sys.path.insert(0, str(build.REPOSITORY / "deploy"))


@pytest.fixture(scope="session")
def make_package(tmp_path_factory):
    """Packages what is built, as a version of its own or as another."""
    out = tmp_path_factory.mktemp("packages")

    def make(*options):
        said = run(build.REPOSITORY / "deploy/package/build", "--from", build.folder(), *options, out).stdout
        return out / said.strip()

    return make


@pytest.fixture(scope="session")
def package(make_package):
    return make_package()


@pytest.fixture(scope="session")
def newer_package(make_package):
    return make_package("--as", "999.0")


@pytest.fixture(scope="session")
def unpacked(package, tmp_path_factory):
    """The package's files."""
    folder = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "--extract", package, folder)
    return folder
