"""What every Python test has: its label, by the folder it is in, and a world of its own."""

import pathlib

import pytest

from tests.lib import build
from tests.lib.world import World

TESTS = pathlib.Path(__file__).parent
# Of the tests in a folder itself; those in any other need network namespaces.
LABELS = {"bench": "unit", "cli": "unit", "package": "package", "style": "style", "vm": "vm"}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = str(item.path.parent.relative_to(TESTS))
        item.add_marker(LABELS.get(folder, "netns"))


@pytest.fixture
def world(request):
    """Network namespaces, veth pairs and processes that are gone when the test is over."""
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
    """The built programs; a test that wants one that is not built fails, it is not skipped."""
    return build.Programs()
