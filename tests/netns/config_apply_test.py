"""`sluicectl config`: applied live, all or nothing, rolled back unless confirmed."""

import os
import signal

import pytest

from tests.lib import flowgen, prometheus, snapshot
from tests.lib.agent import UNREACHABLE, Agent, config
from tests.lib.command import PATIENCE, run, wait_until
from tests.lib.fault import Fault, refusal

DROP_NTP = '[[rule]]\nproto = "udp"\ndst_port = 123\naction = "drop"\n'
PASS_BGP = '[[rule]]\nproto = "tcp"\ndst_port = 179\naction = "pass"\n'
# Matches every packet of flowgen.
DROP_ALL = '[[rule]]\nproto = "udp"\naction = "drop"\n'
ELSEWHERE = '[metrics]\nlisten = "127.0.0.1:9478"\n'


def text(_device, queue_pairs=1, **options):
    """Returns a configuration of the reflector with the given changes to its default."""
    return config({"wan": "wan0"}, "reflect", queue_pairs, **options)


def write(device, content):
    """Writes the agent's configuration file; returns its path."""
    device.agent.config.write_text(content)
    return device.agent.config


def rules_in_kernel(device):
    """Returns the port's maps of rules and of the configuration in force, as bpftool prints them."""
    return [run("bpftool", "map", "dump", "pinned", device.agent.pin_root / "wan0" / name).stdout
            for name in ("sluice_rules", "sluice_config")]


def everything(device):
    """Returns all state that must not change: status without counters, the kernel, the rule maps."""
    status = device.agent.status()
    shown = {"config": status["config"], "resize": status.get("last_resize"),
             "cores": [worker["core"] for worker in status["workers"]],
             "pairs": [port["queue_pairs"] for port in status["ports"]]}
    return shown, snapshot.take(device.dut, device.world.pin_root), rules_in_kernel(device)


def exact(device, programs, count=500):
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=count, settle=0.3)
    assert report["exact"], flowgen.words(report)


def config_status(device):
    return device.agent.status()["config"]


def nothing_pending(device):
    wait_until(lambda: "pending" not in config_status(device), lambda: config_status(device))
    return config_status(device)


def diff(device, content):
    return device.agent.ask("config", "diff", device.world.write("other.toml", content))


def same(device, content):
    """Tells whether the agent runs this configuration."""
    answer = diff(device, content)
    return not answer["changes"] and not answer["rules"]


def test_everything_that_is_live_changes_under_traffic(reflector, programs):
    device = reflector(queue_pairs=2, dataplane={"workers": 1}).start()
    before = text(device, 2, dataplane={"workers": 1})
    wanted = text(device, 4, on_dataplane_down="hold", dataplane={"workers": 2}, more=ELSEWHERE + PASS_BGP + DROP_NTP)
    answer = diff(device, wanted)
    assert {change["key"]: (change["before"], change["after"]) for change in answer["changes"]} == {
        "dataplane.queue_pairs": (2, 4), "dataplane.workers": (1, 2), "port.wan.on_dataplane_down": ("pass", "hold"),
        "metrics.listen": ("127.0.0.1:9477, if it can be had", "127.0.0.1:9478")}
    assert not any(change["needs_restart"] for change in answer["changes"])
    assert [(rule["change"], rule["to"]) for rule in answer["rules"]] == [("added", 1), ("added", 2)]
    assert same(device, before), "diff changed nothing"

    with flowgen.Background(programs, **device.traffic(), flows=16, rate=1000, window=60, settle=1) as traffic:
        for content, pairs, workers in ((wanted, 4, 2), (before, 2, 1)):
            if pairs < 4:
                device.peers.transmit_on(pairs)
            said = device.agent.ctl("config", "apply", write(device, content)).stdout
            assert "queue_pairs" in said and "applied" in said, said
            status = device.agent.status()
            assert status["ports"][0]["queue_pairs"]["current"] == pairs
            assert len(status["workers"]) == workers
            assert status["config"] == {"file": str(device.agent.config), "state": "file", "problems": []}
            assert same(device, content)
        report = traffic.stop()
    lost, _, duplicated, corrupted = flowgen.counts(report)
    # veth itself loses packets while its channels change (tests/netns/conftest.py).
    assert (lost, duplicated, corrupted) == (device.lost_by_veth(report["total"]["sent"]), 0, 0), report
    assert device.agent.settled()["balance"]["dropped"] == 0
    assert (device.agent.state_dir / "last-good.toml").read_text() == before


def test_rules_policy_and_metrics_lose_nothing(reflector, programs):
    device = reflector(queue_pairs=2).start()
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=1000, window=60, settle=1) as traffic:
        for more in (PASS_BGP + DROP_NTP, DROP_NTP + PASS_BGP, ELSEWHERE, ""):
            device.agent.ctl("config", "apply", write(device, text(device, 2, more=more)))
            port = 9478 if more == ELSEWHERE else 9477
            wait_until(lambda: "sluice_config_unconfirmed 0" in prometheus.fetch(
                device.dut, f"http://127.0.0.1:{port}/metrics"), f"metrics on port {port}")
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    # From now on a rule drops every packet, so none comes back.
    device.agent.ctl("config", "apply", write(device, text(device, 2, more=DROP_ALL)))
    report = flowgen.run(programs, **device.traffic(), flows=4, rate=1000, count=20, settle=0.3)
    assert report["total"]["received"] == 0, flowgen.words(report)
    device.agent.settled()


# Mistake -> (configuration, words of the message).
MISTAKES = {
    "every kind of mistake": (
        '[[port]]\nname = "wan"\nnetdev = "../wan0"\nspeed = 10\n[dataplane]\nqueue_pairs = 0\nmode = "fast"\n'
        'cores = [0.5]\n[function]\ntype = "teleport"\n[metrics]\nlisten = "here"\n[turbo]\non = true\n'
        '[[rule]]\nsrc = "300.1.1.1"\nin_port = "dmz"\n',
        [":3: port.netdev", ":4: port.speed", ":6: dataplane.queue_pairs", ":7: dataplane.mode", ":8: dataplane.cores",
         ":10: function.type", ":12: metrics.listen", ":13: turbo", ":15: rule.action", ":16: rule.src",
         ":17: rule.in_port", "nothing was changed"]),
    "no TOML": ("[[port]\n", [":1: not TOML", "nothing was changed"]),
    "not UTF-8": (b"name = \"\xff\"\n", [":1: not TOML"]),
    "empty": ("", [":1: port: missing"]),
    "keys that need a restart": (
        config({"wan": "wan0", "lan": "lan0"}, "forward", 2, dataplane={"mode": "copy", "poll": "busy"}, more=DROP_NTP),
        ["port.lan, dataplane.mode, dataplane.poll, function.type need a restart", "nothing was changed"]),
    "another netdev": (config({"wan": "lan0"}, "reflect"), ["port.wan.netdev needs a restart"]),
    "more pairs than there are": (config({"wan": "wan0"}, "reflect", 5, more=DROP_NTP), ["queue_pairs", "wan0"]),
    "a core that is not there": (
        config({"wan": "wan0"}, "reflect", dataplane={"cores": [8000]}, more=DROP_NTP), ["core 8000 is not online"]),
    "an address that is not there": (
        config({"wan": "wan0"}, "reflect", 2, more='[metrics]\nlisten = "192.0.2.9:9477"\n' + DROP_NTP),
        ["192.0.2.9", "everything is as before"]),
}


def test_what_is_wrong_changes_nothing(reflector):
    device = reflector(more=PASS_BGP).start()
    before = everything(device)
    for name, (content, words) in MISTAKES.items():
        file = device.world.folder / "wrong.toml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        for options in ([], ["--confirm", "60s"]):
            said = device.agent.refuse("config", "apply", file, *options)
            for word in words:
                assert word in said, (name, said)
        assert everything(device) == before, name
        assert not (device.agent.state_dir / "apply.json").exists(), name
    said = device.agent.refuse("config", "apply", device.world.folder / "nosuch.toml")
    assert "nosuch.toml" in said
    assert everything(device) == before


# These calls are made by the last step, the step before it, and the first step.
@pytest.mark.parametrize("call, errno", [("bind", "ENOBUFS"), ("sendto", "EBUSY"), ("bpf", "EPERM")])
def test_kernel_refuses_a_step(reflector, world, programs, call, errno):
    """The kernel refuses one call of that kind in an apply, then a later one. Each time all is applied or nothing."""
    device = reflector(queue_pairs=2, more=PASS_BGP).start()
    device.peers.transmit_on(2)
    wanted = text(device, 3 if call != "bpf" else 2, more=ELSEWHERE + DROP_NTP + PASS_BGP)
    before = text(device, 2, more=PASS_BGP)
    number, refused = 1, 0
    while True:
        with Fault(world, device.agent.process.pid, call, number, refusal(errno)) as fault:
            done = device.agent.ctl("config", "apply", write(device, wanted), check=False)
        if done.returncode in (0, UNREACHABLE):  # the agent's answer to sluicectl may be the refused call
            assert same(device, wanted)
        else:
            refused += 1
            assert "everything is as before" in done.stderr or "nothing was changed" in done.stderr, done.stderr
            assert same(device, before), (number, done.stderr)
        device.agent.ctl("config", "apply", write(device, before))
        if not fault.struck():
            break
        number += max(1, number // 8)  # most calls of a kind only look
    assert refused > 0
    exact(device, programs)
    device.agent.settled()


def test_confirmed_or_rolled_back(reflector, programs):
    device = reflector(more=PASS_BGP).start()
    before, wanted = text(device, more=PASS_BGP), text(device, 2, more=DROP_ALL)
    last_good = device.agent.state_dir / "last-good.toml"
    assert "no apply waits" in device.agent.refuse("config", "confirm")
    assert "no apply waits" in device.agent.refuse("config", "rollback")

    said = device.agent.ctl("config", "apply", write(device, wanted), "--confirm", "1h").stdout
    assert "sluicectl config confirm" in said, said
    pending = config_status(device)["pending"]
    assert pending["file"] == str(device.agent.config) and 0 < pending["seconds_left"] <= 3600, pending
    assert "not confirmed" in device.agent.ctl("status").stdout
    assert last_good.read_text() == before, "an unconfirmed configuration is not the last good one"
    said = device.agent.refuse("config", "apply", write(device, before))
    assert "config confirm" in said and "config rollback" in said, said
    assert same(device, wanted)
    device.agent.ctl("config", "rollback")
    assert same(device, before) and nothing_pending(device)["problems"] == []
    exact(device, programs)

    device.agent.ctl("config", "apply", write(device, wanted), "--confirm", "1h")
    device.agent.ctl("config", "confirm")
    assert nothing_pending(device)["problems"] == [] and same(device, wanted)
    assert last_good.read_text() == wanted
    assert not (device.agent.state_dir / "apply.json").exists()

    device.agent.ctl("config", "apply", write(device, before), "--confirm", "1s")
    problem, = nothing_pending(device)["problems"]
    assert "nobody confirmed it in time" in problem
    assert same(device, wanted) and last_good.read_text() == wanted


@pytest.mark.parametrize("and_dataplane", [False, True], ids=["agent", "both"])
def test_rolled_back_by_the_next_agent(reflector, programs, and_dataplane):
    """The agent is killed while its apply waits to be confirmed. The next agent waits for the rest of the time."""
    device = reflector(more=PASS_BGP).start()
    before, wanted = text(device, more=PASS_BGP), text(device, 2, more=DROP_ALL)

    def die_and_follow():
        pid = device.agent.dataplane_pid()
        device.agent.kill()
        if and_dataplane:
            os.kill(pid, signal.SIGKILL)
        device.agent.start()

    device.agent.ctl("config", "apply", write(device, wanted), "--confirm", "1h")
    die_and_follow()
    assert config_status(device)["pending"]["seconds_left"] > 0
    assert same(device, wanted)
    device.agent.ctl("config", "rollback")
    assert same(device, before)

    device.agent.ctl("config", "apply", write(device, wanted), "--confirm", "1s")
    die_and_follow()
    problem, = nothing_pending(device)["problems"]
    assert "nobody confirmed it in time" in problem, problem
    assert same(device, before)
    exact(device, programs)
    die_and_follow()  # the file still has the configuration that nobody confirmed
    assert config_status(device)["state"] == "last good" and same(device, before)
    device.agent.stop()


def test_agent_killed_in_the_middle_of_an_apply(reflector, world, programs):
    """The agent dies at some calls to the dataplane; the next one goes back to the whole former configuration."""
    device = reflector(queue_pairs=2, more=PASS_BGP).start()
    device.peers.transmit_on(2)
    before, wanted = text(device, 2, more=PASS_BGP), text(device, 3, more=DROP_ALL)
    for number in (1, 3, 6, 9):
        with Fault(world, device.agent.process.pid, "sendmsg", number, "signal=KILL"):
            device.agent.ctl("config", "apply", write(device, wanted), check=False)
        wait_until(lambda: not device.agent.process.running(), "the agent's death")
        device.agent.process.wait()
        device.agent.start()
        problem, = nothing_pending(device)["problems"]
        assert "could not be brought to its end" in problem, problem
        assert same(device, before), number
    exact(device, programs)
    device.agent.settled()


def hang_up(device, words):
    """Sends SIGHUP and waits for words in the log."""
    device.agent.process.signal(signal.SIGHUP)
    wait_until(lambda: words in device.agent.process.output(), device.agent.process.output)


def test_sighup_applies_the_file(reflector):
    device = reflector(more=PASS_BGP).start()
    wanted = text(device, 2, more=DROP_NTP)
    write(device, wanted)
    hang_up(device, "is in force")
    assert same(device, wanted)
    before = everything(device)
    write(device, wanted + "turbo = true\n")
    hang_up(device, "was not applied")
    assert f"{device.agent.config}:" in device.agent.process.output() and "turbo" in device.agent.process.output()
    assert everything(device) == before
    device.agent.stop()


def test_broken_file_at_the_start(reflector, programs):
    """The agent starts with the last good configuration; status, log and metrics say so."""
    device = reflector(queue_pairs=2, more=PASS_BGP).start()
    good = device.agent.config.read_text()
    device.agent.stop()
    last_good = device.agent.state_dir / "last-good.toml"
    assert last_good.read_text() == good

    broken = {"turbo": good + "turbo = true\n", "at most 4": good.replace("queue_pairs = 2", "queue_pairs = 9"),
              "No such": None}
    for word, content in broken.items():
        device.agent.config.unlink()
        if content is not None:
            write(device, content)
        device.agent.start()
        status = config_status(device)
        assert (status["file"], status["state"]) == (str(last_good), "last good"), status
        assert any(str(device.agent.config) in problem and word in problem for problem in status["problems"]), status
        assert word in device.agent.ctl("status").stdout
        assert f"starting with {last_good} instead" in device.agent.process.output()
        assert same(device, good) and last_good.read_text() == good
        if content is not None:
            device.agent.stop()
        else:
            write(device, good)
    wait_until(lambda: "sluice_config_last_good 1" in prometheus.fetch(
        device.dut, "http://127.0.0.1:9477/metrics"), "the metric")
    device.agent.ctl("config", "apply", device.agent.config)
    assert config_status(device) == {"file": str(device.agent.config), "state": "file", "problems": []}
    exact(device, programs)
    device.agent.stop()


def test_last_good_never_runs_on_another_device_than_the_file_names(world, reflector):
    device = reflector().start()
    device.agent.stop()
    before = snapshot.take(device.dut, world.pin_root)
    write(device, device.agent.config.read_text().replace("wan0", "wan7"))
    said = device.agent.refuses_to_start()
    assert "netdev wan7: No such device" in said and "other network devices" in said, said
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))


def test_what_nobody_confirmed_does_not_become_final_by_a_restart(reflector):
    device = reflector(more=PASS_BGP).start()
    before, wanted = text(device, more=PASS_BGP), text(device, more=DROP_ALL)
    device.agent.ctl("config", "apply", write(device, wanted), "--confirm", "1h")
    for _ in range(2):
        device.agent.stop()
        device.agent.start()
        assert config_status(device)["state"] == "last good" and same(device, before)
    device.agent.ctl("config", "apply", device.agent.config)
    device.agent.stop()
    device.agent.start()
    assert config_status(device)["state"] == "file" and same(device, wanted)


def test_state_folder_of_another_agent(world, programs, reflector):
    device = reflector().start()
    gen, dut = world.netns("gen-two"), world.netns("two")
    world.veth(gen, "a0", dut, "wan0")
    second = Agent(world, programs, dut, config({"wan": "wan0"}, "reflect"), "second")
    second.state_dir = device.agent.state_dir
    assert "--state-dir" in second.refuses_to_start()
    assert "xdp" not in dut.run("ip", "link", "show", "wan0").stdout


def test_state_folder_that_cannot_be_written(reflector):
    """The network function runs all the same; an apply is refused, since it could not be undone."""
    device = reflector()
    device.agent.state_dir = "/proc/nowhere"
    device.start()
    said = device.agent.refuse("config", "apply", write(device, text(device, more=DROP_NTP)), timeout=PATIENCE)
    assert "/proc/nowhere" in said and "nothing was changed" in said, said
    assert same(device, text(device))
