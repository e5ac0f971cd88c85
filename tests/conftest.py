"""Gives every Python test its label, by its folder, and has the fixtures that all use."""

import pathlib

import pytest

from tests.lib import build
from tests.lib.world import World

TESTS = pathlib.Path(__file__).parent
# Label of the tests directly in a folder; all other tests need network namespaces.
LABELS = {"bench": "unit", "cli": "unit", "cost": "cost", "package": "package", "style": "style", "vm": "vm"}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = str(item.path.parent.relative_to(TESTS))
        item.add_marker(LABELS.get(folder, "netns"))


@pytest.fixture
def world(request):
    """Makes network namespaces, veth pairs and processes, and removes them after the test."""
    with World() as made:
        yield made
        if request.node.stash.get(FAILED, False):
            print(made.describe())


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call":
        item.stash[FAILED] = report.failed


@pytest.fixture(scope="session")
def programs():
    """Returns the built programs. A test that needs one that is not built fails; it is not skipped."""
    return build.Programs()
