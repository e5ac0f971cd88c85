"""Files that are none, have no end, or cannot be read: as a list, as rules, as configuration. The error names the file,
nothing waits, nothing is changed, and the agent answers."""

import os
import signal

import pytest

from tests.lib.agent import REFUSED
from tests.lib.command import wait_until


def fifo(folder):
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def large(folder):
    path = folder / "large"
    path.touch()
    os.truncate(path, 10 << 30)
    return path


def folder_itself(folder):
    (folder / "folder").mkdir()
    return folder / "folder"


# name: (makes it, words of sluicectl, words of the agent). /proc/self/mem: reading from its beginning is an error, for
# root too.
ODD = {
    "a FIFO": (fifo, "nothing came", "not a regular file"),
    "a device": (lambda _: "/dev/zero", "larger than", "not a regular file"),
    "a folder": (folder_itself, "Is a directory", "not a regular file"),
    "10 GB": (large, "larger than", "larger than"),
    "one that cannot be read": (lambda _: "/proc/self/mem", "cannot be read", "cannot be read"),
}
VERBS = [("blocklist", "replace"), ("allowlist", "replace"), ("rules", "replace"), ("config", "diff"),
         ("config", "apply")]


@pytest.mark.parametrize("kind", ODD)
def test_sluicectl_refuses(reflector, world, programs, kind):
    device = reflector(more='[[rule]]\naction = "drop"\nproto = "udp"\n').start()
    device.agent.ctl("blocklist", "add", "192.0.2.0/24")
    before = [device.agent.ask("rules"), device.agent.ask("blocklist"), device.agent.status()["config"]]
    make, words, _ = ODD[kind]
    path = make(world.folder)
    asked = [world.start(programs.ctl, "--socket", device.agent.socket, *verb, path) for verb in VERBS]
    device.agent.status()
    for process in asked:
        assert process.wait() == REFUSED, process.output()
        assert f"{path}: " in process.output() and words in process.output(), process.output()
    assert [device.agent.ask("rules"), device.agent.ask("blocklist"), device.agent.status()["config"]] == before


@pytest.mark.parametrize("kind", ODD)
def test_the_agent_refuses_it_as_its_configuration(reflector, world, kind):
    device = reflector()
    make, _, words = ODD[kind]
    path, good = make(world.folder), device.agent.config
    device.agent.config = path
    assert words in device.agent.refuses_to_start()
    device.agent.config = world.folder / "linked.toml"
    os.symlink(good, device.agent.config)
    device.agent.start()
    pid = device.agent.dataplane_pid()
    device.agent.config.unlink()
    os.symlink(path, device.agent.config)
    device.agent.process.signal(signal.SIGHUP)
    wait_until(lambda: words in device.agent.process.output(), device.agent.process.output)
    assert device.agent.dataplane_pid() == pid
