"""A run that is ended by a signal leaves nothing behind: no process, namespace, folder or pin."""

import pathlib
import signal
import subprocess
import sys

import pytest

from tests.lib import build
from tests.lib.command import run, wait_until
from tests.lib.world import BPFFS

# A test in the middle of its work: agent and dataplane in a namespace, a process outside of it, and one that outlives
# its starter.
AT_WORK = """
import subprocess, time
from tests.lib import agent, build
from tests.lib.world import World
with World() as world:
    left, dut = world.netns("left"), world.netns("dut")
    world.veth(left, "a0", dut, "wan0")
    running = agent.Agent(world, build.Programs(), dut, agent.config({"wan": "wan0"}, "reflect"))
    running.start()
    outside = subprocess.Popen(["sleep", "1000"])
    escaped = subprocess.check_output(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"], text=True)
    print(world.folder, left.name, dut.name, running.process.pid, outside.pid, escaped, flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def at_work():
    """Starts it, and returns the process and the names that it has printed."""
    process = subprocess.Popen([sys.executable, "-B", "-c", AT_WORK], cwd=build.REPOSITORY, stdout=subprocess.PIPE,
                               text=True)
    yield process, process.stdout.readline().split()
    process.kill()
    process.wait()


def left_behind(folder, left, dut, *pids):
    namespaces = run("ip", "netns", "list").stdout.split()
    paths = [pathlib.Path(folder), BPFFS / pathlib.Path(folder).name]
    return ([name for name in (left, dut) if name in namespaces] + [str(path) for path in paths if path.exists()]
            + [pid for pid in pids if running(pid)])


def running(pid):
    """False also for a process that has ended and waits for its new parent to take note."""
    try:
        return pathlib.Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_end_has_undone_all_at_its_end(at_work, number):
    process, names = at_work
    assert len(left_behind(*names)) == 7, names
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert left_behind(*names) == []


def test_a_run_that_is_killed_is_undone(at_work):
    process, names = at_work
    assert len(left_behind(*names)) == 7, names
    process.kill()
    wait_until(lambda: not left_behind(*names), lambda: str(left_behind(*names)))


def test_a_block_undoes_what_is_its_own(world):
    from testbed import Undo

    with Undo() as outer:
        folders = [world.folder / name for name in ("outer", "inner")]
        outer.folder(folders[0])
        with Undo() as inner:
            inner.folder(folders[1])
            inner.content(world.folder / "file", "before")
            for folder in folders:
                folder.mkdir()
            (world.folder / "file").write_text("after")
        assert (world.folder / "file").read_text() == "before"
        assert [folder.exists() for folder in folders] == [True, False]
    assert not folders[0].exists()
    assert world.folder.exists()
