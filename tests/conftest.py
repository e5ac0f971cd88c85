"""Gives every Python test its label, by its folder, and has the fixtures that all use."""

import ctypes
import pathlib
import signal

import pytest

from tests.lib import build
from tests.lib.world import World

TESTS = pathlib.Path(__file__).parent
# Label of the tests directly in a folder; all other tests need network namespaces.
LABELS = {"bench": "unit", "cli": "unit", "cost": "cost", "debian13": "debian13", "package": "package",
          "style": "style", "vm": "vm"}


PR_SET_PDEATHSIG = 1


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        # One of several workers of `pytest -n`, which otherwise ends its test first when the others are told to end.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pytest_collection_modifyitems(items):
    for item in items:
        folder = str(item.path.parent.relative_to(TESTS))
        item.add_marker(LABELS.get(folder, "netns"))
    items[:] = spread(items)


def spread(items):
    """Returns the tests with the long ones among the first two thirds of the others. The workers of `pytest -n` take
    tests that stand in a row: of long ones in a row the last worker would have many left when the others are done."""
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    apart = max(1, len(short) * 2 // 3 // max(1, len(long)))
    ordered = []
    while long or short:
        ordered += short[:apart] + long[:1]
        del short[:apart], long[:1]
    return ordered


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
