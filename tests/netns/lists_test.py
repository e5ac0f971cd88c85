"""Lists of sources from files that the configuration names, and changes that wait to be confirmed: at a start, at an
apply, over deaths of the agent, with files that cannot be used."""

import os
import signal

import pytest

from tests.lib import flowgen
from tests.lib.agent import config
from tests.lib.command import wait_until

FLOWGEN = "198.18.0.0/15"  # its sources


def text(queue_pairs=1, blocklist=None, allowlist=None, min_entries=None, more=""):
    lines = []
    for name, file in (("blocklist", blocklist), ("allowlist", allowlist)):
        lines += [f"[{name}]", f'file = "{file}"'] if file else []
        lines += [f"min_entries = {min_entries}"] if file and min_entries is not None and name == "blocklist" else []
    return config({"wan": "wan0"}, "reflect", queue_pairs, more="\n".join(lines + [more]))


@pytest.fixture
def device(reflector, world):
    """A reflector whose configuration names both lists, which exist."""
    device = reflector()
    device.block, device.allow = world.folder / "block.txt", world.folder / "allow.txt"
    device.block.write_text(f"# a list\n{FLOWGEN}\n203.0.113.0/24\n")
    device.allow.write_text("192.0.2.1\n")
    device.agent.config.write_text(text(blocklist=device.block, allowlist=device.allow))
    return device


def received(device, programs, count=200):
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=2000, count=count, settle=0.3)
    assert report["total"]["sent"] == count
    assert report["total"]["received"] in (0, count), flowgen.words(report)
    return report["total"]["received"]


def prefixes(agent):
    return agent.ask("blocklist")["prefixes"], agent.ask("allowlist")["prefixes"]


def apply(device, *options, **changes):
    device.agent.config.write_text(text(**{"blocklist": device.block, "allowlist": device.allow, **changes}))
    return device.agent.ctl("config", "apply", device.agent.config, *options)


def restart_after_death(device):
    device.agent.kill()
    device.agent.start()


def test_lists_are_in_force_from_the_first_packet_and_after_every_end(device, programs):
    device.start()
    assert prefixes(device.agent) == (2, 1)
    assert received(device, programs) == 0
    device.agent.stop()
    device.start()
    assert prefixes(device.agent) == (2, 1)
    assert received(device, programs) == 0
    restart_after_death(device)
    assert prefixes(device.agent) == (2, 1)
    assert device.agent.status()["config"]["state"] == "file"


def test_no_packet_passes_before_the_list_is_in_force(device, programs):
    """flowgen sends while the agent comes up. A packet that the function reflects comes back."""
    device.agent.config.write_text(text(blocklist=device.block))
    device.block.write_text(FLOWGEN + "\n" + "".join(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.7\n"
                                                     for i in range(200_000)))
    with flowgen.Background(programs, **device.traffic(), flows=8, rate=2000, settle=0.3) as traffic:
        device.start()
        wait_until(lambda: device.agent.ask("blocklist")["dropped_packets"] > 1000, "packets")
        report = traffic.stop()
    assert report["total"]["received"] == 0, flowgen.words(report)


def test_apply_and_sighup_load_the_files_again(device, programs):
    agent = device.start().agent
    device.block.write_text("203.0.113.0/24\n")
    done = agent.ctl("config", "apply", agent.config).stdout
    assert f"blocklist: 1 prefixes from {device.block}" in done, done
    assert received(device, programs) == 200
    device.block.write_text(f"{FLOWGEN}\n203.0.113.0/24\n1.19.0.1/16\n")
    agent.process.signal(signal.SIGHUP)
    wait_until(lambda: prefixes(agent) == (3, 1), lambda: prefixes(agent))
    assert received(device, programs) == 0
    # The keys come and go, too.
    apply(device, blocklist=None)
    assert prefixes(agent) == (0, 1)
    assert received(device, programs) == 200
    apply(device, allowlist=None)
    assert prefixes(agent) == (3, 0)
    assert received(device, programs) == 0


def test_sluicectl_changes_a_list_until_its_file_is_loaded_again(device):
    agent = device.start().agent
    said = agent.ctl("blocklist", "add", "203.0.114.0/24").stdout
    assert f"until the next apply or start, which loads {device.block}" in said
    assert f"from {device.block}" in agent.ctl("blocklist").stdout
    restart_after_death(device)
    assert prefixes(agent) == (3, 1), "a death is no start"
    agent.ctl("config", "apply", agent.config)
    assert prefixes(agent) == (2, 1)
    agent.ctl("blocklist", "add", "203.0.114.0/24")
    agent.kill()
    device.block.write_text("203.0.113.0/24\n")
    agent.start()
    assert prefixes(agent) == (1, 1), "the file was written meanwhile"


def remove(path):
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


def make_huge(path):
    os.truncate(path, 1 << 40)


# name: (makes the blocklist's file, words of the error behind the file's name). wan0 has 192.0.2.10.
BAD = {
    "gone": (lambda path: path.unlink(), ": cannot be read: No such file"),
    "a FIFO": (make_fifo, ": is not a regular file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), ": is not a regular file"),
    "huge": (make_huge, ": larger than"),
    "empty": (lambda path: path.write_text("# none\n"), ": has no entries, and [blocklist] min_entries is 1"),
    "no list": (lambda path: path.write_text("203.0.113.1\nroot:x:0:0\n"), ":2: is no address, prefix or range"),
    "everything": (lambda path: path.write_text("203.0.113.1\n0.0.0.0/0\n"), ":2: 0.0.0.0/0 blocks everything"),
    "this machine": (lambda path: path.write_text("203.0.113.1\n\n192.0.2.0/24\n"),
                     ":3: 192.0.2.0/24 blocks 192.0.2.10, an address of this machine"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used(device, programs, kind):
    """At an apply and SIGHUP nothing changes; at a start the last good lists go on, and the status says so; at the very
    first start nothing is brought up."""
    device.dut.run("ip", "addr", "add", "192.0.2.10/24", "dev", "wan0")
    good = device.block.read_text()
    make, words = BAD[kind]
    error = f"{device.block}{words}"
    make(device.block)
    assert error in device.agent.refuses_to_start()

    remove(device.block)
    device.block.write_text(good)
    agent = device.start().agent
    make(device.block)
    said = agent.refuse("config", "apply", agent.config)
    assert error in said and "nothing was changed" in said and "x:0:0" not in said, said
    agent.process.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: " in agent.process.output() and error in agent.process.output(), agent.process.output)
    assert prefixes(agent) == (2, 1)

    agent.stop()
    agent.start()
    status = agent.status()["config"]
    assert status["state"] == "last good" and any(error in problem for problem in status["problems"]), status
    assert prefixes(agent) == (2, 1)
    assert received(device, programs) == 0
    restart_after_death(device)
    assert prefixes(agent) == (2, 1)
    assert received(device, programs) == 0
    remove(device.block)
    device.block.write_text("203.0.113.0/24\n")
    agent.process.signal(signal.SIGHUP)
    wait_until(lambda: prefixes(agent) == (1, 1), lambda: prefixes(agent))
    assert agent.status()["config"]["state"] == "file"


def test_the_allow_list_of_the_same_apply_counts(device):
    device.dut.run("ip", "addr", "add", "192.0.2.10/24", "dev", "wan0")
    agent = device.start().agent
    device.block.write_text("192.0.2.0/24\n")
    device.allow.write_text("192.0.2.10\n")
    agent.ctl("config", "apply", agent.config)
    assert prefixes(agent) == (1, 1)
    device.allow.write_text("192.0.2.11\n")
    assert "192.0.2.10, an address of this machine" in agent.refuse("config", "apply", agent.config)
    agent.stop()
    device.allow.write_text("192.0.2.10\n")
    agent.start()
    assert agent.status()["config"]["state"] == "file"


def test_min_entries(device):
    agent = device.start().agent
    device.block.write_text("203.0.113.0/24\n")
    device.agent.config.write_text(text(blocklist=device.block, min_entries=2))
    assert "has 1 entry, and [blocklist] min_entries is 2" in agent.refuse("config", "apply", agent.config)
    device.block.write_text("")
    apply(device, min_entries=0)
    assert prefixes(agent) == (0, 1)
    agent.stop()
    agent.start()
    assert (prefixes(agent), agent.status()["config"]["state"]) == ((0, 1), "file")


def test_an_apply_that_nobody_confirms_takes_its_lists_back(device, programs):
    agent = device.start().agent
    agent.ctl("blocklist", "add", "203.0.114.0/24")
    device.block.write_text("203.0.113.0/24\n")
    device.allow.write_text("192.0.2.1\n192.0.2.2\n")
    for end in ("rollback", "time"):
        apply(device, "--confirm", "1h" if end == "rollback" else "1s")
        if end == "rollback":
            assert prefixes(agent) == (1, 2)
            assert "a configuration with lists waits" in agent.refuse("blocklist", "add", "1.2.3.4", "--confirm", "9s")
            agent.ctl("config", "rollback")
        wait_until(lambda: prefixes(agent) == (3, 1), lambda: prefixes(agent))
        assert received(device, programs) == 0
    # An unconfirmed list is not started with, though the configuration names its file.
    agent.stop()
    agent.start()
    assert (prefixes(agent), agent.status()["config"]["state"]) == ((2, 1), "last good")
    apply(device, "--confirm", "1h")
    agent.ctl("config", "confirm")
    agent.stop()
    agent.start()
    assert (prefixes(agent), agent.status()["config"]["state"]) == ((1, 2), "file")


@pytest.mark.parametrize("confirmed", [False, True])
def test_an_apply_waits_on_over_the_agents_death(device, confirmed):
    agent = device.start().agent
    agent.ctl("blocklist", "add", "203.0.114.0/24")
    device.block.write_text("203.0.113.0/24\n")
    apply(device, "--confirm", "1h")
    device.block.write_text("203.0.113.0/24\n203.0.115.0/24\n")
    restart_after_death(device)
    assert prefixes(agent) == (1, 1), "neither the former list nor the file of now"
    agent.ctl("config", "confirm" if confirmed else "rollback")
    assert prefixes(agent) == ((1, 1) if confirmed else (3, 1))
    agent.stop()
    device.block.unlink()
    agent.start()
    assert prefixes(agent) == ((1, 1) if confirmed else (2, 1)), "the last good one"


def test_an_apply_whose_time_ends_while_no_agent_runs_is_taken_back(device):
    agent = device.start().agent
    agent.ctl("allowlist", "add", "192.0.2.2")
    device.block.unlink()
    apply(device, "--confirm", "1s", blocklist=None)
    restart_after_death(device)
    wait_until(lambda: "pending" not in agent.status()["config"], lambda: agent.status()["config"])
    assert prefixes(agent) == (2, 2)


def test_a_load_of_an_apply_blocks_nobody(device, programs, world):
    agent = device.start().agent
    device.block.write_text("".join(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.7\n" for i in range(1_000_000)))
    loading = world.start(programs.ctl, "--socket", agent.socket, "config", "apply", agent.config)
    wait_until(lambda: "are being loaded; nothing was changed" in
               agent.ctl("blocklist", "add", "203.0.113.0/24", check=False).stderr, "the load's beginning")
    assert "are being loaded" in agent.refuse("config", "apply", agent.config)
    agent.process.signal(signal.SIGHUP)
    assert prefixes(agent) == (2, 1)
    assert loading.running(), loading.output()
    assert loading.wait() == 0, loading.output()
    assert prefixes(agent) == (1_000_000, 1)
    wait_until(lambda: "SIGHUP: applying" in agent.process.output(), "the reload after it")


# Changes of a list with --confirm. Before each, the blocklist has 203.0.113.1 and 203.0.113.2.
CHANGES = {
    "add": ["blocklist", "add", "203.0.113.2", "203.0.113.3"],
    "del": ["blocklist", "del", "203.0.113.1", "203.0.113.9"],
    "del all": ["blocklist", "del", "203.0.113.1", "203.0.113.2"],
    "replace": ["blocklist", "replace", "FILE"],
    "the first one": ["allowlist", "replace", "FILE"],
    "the first ones": ["allowlist", "add", "203.0.113.4"],
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_change_that_nobody_confirms_is_undone_by_the_next_agent(reflector, world, how):
    agent = reflector().start().agent
    agent.ctl("blocklist", "add", "203.0.113.1", "203.0.113.2")
    file = world.write("other.txt", "203.0.113.5\n")
    change = [file if word == "FILE" else word for word in CHANGES[how]]

    def listed():
        return {address: (agent.ask("blocklist", address)["listed"], agent.ask("allowlist", address)["listed"])
                for address in (f"203.0.113.{n}" for n in range(1, 10))}

    before = listed()
    agent.ctl(*change, "--confirm", "1h")
    changed = listed()
    assert changed != before
    agent.kill()
    agent.start()
    assert listed() == changed, "its time is not over"
    assert "waits to be confirmed" in agent.refuse("blocklist", "add", "203.0.113.7")
    assert agent.ask(change[0])["seconds_to_confirm"] > 3000
    agent.ctl(change[0], "rollback")
    assert listed() == before

    agent.ctl(*change, "--confirm", "1s")
    agent.kill()
    agent.start()
    wait_until(lambda: listed() == before, listed)
    agent.ctl(*change, "--confirm", "1h")
    agent.kill()
    agent.start()
    agent.ctl(change[0], "confirm")
    agent.kill()
    agent.start()
    assert listed() == changed
    assert "no change" in agent.refuse(change[0], "rollback")
