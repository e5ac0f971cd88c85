"""The package under test, and a newer version of it."""

import sys

import pytest

from tests.lib import build
from tests.lib.command import run

sys.path.insert(0, str(build.REPOSITORY / "deploy"))


@pytest.fixture(scope="session")
def make_package(tmp_path_factory):
    """Returns a function that makes a package of the build, with options of deploy/package/build."""
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
    """Returns a folder with the package's files."""
    folder = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "--extract", package, folder)
    return folder
