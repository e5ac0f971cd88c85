"""The image that is built from the package: it boots with systemd and forwards, across restarts and an upgrade."""

import json

import pytest

from tests.lib import build
from tests.lib.appliance import PACKAGES, running
from tests.lib.command import run, wait_until

CONFIG = """\
[[port]]
name = "wan"
netdev = "eth0"
on_dataplane_down = "hold"
[[port]]
name = "lan"
netdev = "eth1"
on_dataplane_down = "hold"
[dataplane]
queue_pairs = 2
[function]
type = "forward"
"""
UNITS = "sluice-agent.service sluice-dataplane.service"
# Prints the state that Sluice changes while it runs, apart from its own files.
KERNEL_STATE = """
ls /sys/class/net
for i in eth0 eth1; do
	ip -d link show $i | sed 's/ state .*//'
	tc qdisc show dev $i | sort
	ethtool -l $i
	cat /sys/class/net/$i/queues/tx-*/xps_cpus
done
find /sys/fs/bpf -mindepth 1 -not -path '/sys/fs/bpf/xdp*'
"""


class Forwarder:
    """The guest and its two sides."""

    def __init__(self, vm):
        self.vm = vm
        self.run = vm.guest.run
        self.left, self.right = (vm.net.isolate(tap) for tap in vm.net.taps)

    def stream(self, *options, **more):
        """Sends numbered frames through the guest, both ways."""
        return self.vm.stream("--both", *options, netns=self.left, rx_netns=self.right, rx=self.vm.net.taps[1], **more)

    def carries(self, frames=500):
        """Checks that all of `frames` frames each way come through."""
        with self.stream("--count", str(frames), "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["sent"] == 2 * frames and stream.total["received"] == 2 * frames, stream.total

    def main_pid(self, unit):
        return int(self.run(f"systemctl show -P MainPID {unit}").check().out)

    def status(self):
        return json.loads(self.run("sluicectl status -o json").check().out)

    def pairs(self):
        return int(self.status()["ports"][0]["queue_pairs"]["current"])

    def wait_for_successor(self, unit, before):
        """Waits until the unit has another process than `before`, and the agent works with systemd's dataplane."""

        def works():
            if self.main_pid(unit) in (0, before) or self.run("sluicectl status").rc != 0:
                return False
            dataplane = self.status()["dataplane"]
            return dataplane["state"] == "running" and int(dataplane["pid"]) == self.main_pid("sluice-dataplane")

        wait_until(works, lambda: self.run("journalctl -b --no-pager -o cat -n 40").out, timeout=300, every=0.5)

    def as_member(self, group, command):
        """Runs a command as a user in that group, and returns its result."""
        self.run(f"id user-{group} >/dev/null 2>&1 || useradd -G {group} user-{group}").check()
        return self.run(f"runuser -u user-{group} -- {command}")


@pytest.fixture(scope="module")
def forwarder(package, tmp_path_factory):
    with running(package, CONFIG, tmp_path_factory.mktemp("image")) as vm:
        yield Forwarder(vm)


def test_a_wrong_configuration_makes_no_image(package, tmp_path):
    config = tmp_path / "sluice.toml"
    config.write_text(CONFIG.replace('"forward"', '"backward"'))
    words = [build.REPOSITORY / "deploy/image/build", "--package", package, "--config", config]
    refused = run(*words, "--include", ",".join(PACKAGES), tmp_path / "out", check=False, timeout=600)
    assert refused.returncode == 1 and "sluice.toml:12: " in refused.stderr and "Traceback" not in refused.stderr
    assert list((tmp_path / "out").iterdir()) == []


# The tests below share one boot, so they run in this order.


def test_comes_up_forwarding(forwarder):
    up = forwarder.run("systemctl is-system-running --wait", timeout=300)
    assert up.out.strip() == "running", forwarder.run("systemctl --failed; journalctl -b --no-pager").out
    forwarder.run(f"systemctl is-active {UNITS}").check()
    forwarder.carries()
    assert [port["xdp"]["mode"] for port in forwarder.status()["ports"]] == ["native", "native"]
    owner = forwarder.run(f"stat -c %U /proc/{forwarder.main_pid('sluice-dataplane')}").check().out.strip()
    assert owner == "sluice-dataplane"


def test_confinement_leaves_what_resizing_needs(forwarder):
    """A resize changes channels, sockets, and the CPUs of interrupts and queues from within the units' sandbox."""
    for pairs in (1, 2):
        forwarder.run(f"sluicectl queues set {pairs} --timeout 120s", timeout=150).check()
    forwarder.carries()
    log = forwarder.run("journalctl -b -p warning --no-pager -o cat -u sluice-agent").check().out
    assert "cannot" not in log and "denied" not in log, log


def test_groups_decide_who_may_do_what(forwarder):
    forwarder.as_member("sluice", "sluicectl status").check()
    assert forwarder.as_member("sluice", "sluicectl queues set 1").rc == 1
    assert forwarder.as_member("users", "sluicectl status").rc == 1
    assert forwarder.run("runuser -u sluice-dataplane -- sluicectl status").rc == 1
    forwarder.as_member("sluice-admin", "sluicectl workers set 2").check()


def test_restarting_the_agent_costs_no_packet(forwarder):
    before = forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane")
    with forwarder.stream(rate=100) as stream:
        forwarder.run("systemctl restart sluice-agent", timeout=300).check()
    assert stream.total["sent"] == stream.total["received"] > 0, stream.total
    after = forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane")
    assert after[0] != before[0] and after[1] == before[1]


@pytest.mark.parametrize("unit", ["sluice-agent", "sluice-dataplane"])
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_units_restart_what_was_killed_or_hangs(forwarder, unit, signal):
    """systemd ends an agent that is stopped; the agent ends a dataplane that is."""
    before = forwarder.main_pid(unit)
    forwarder.run(f"kill -{signal} {before}").check()
    forwarder.wait_for_successor(unit, before)
    forwarder.carries()


def test_reload_applies_the_configuration(forwarder):
    """A reload applies everything or nothing: a mistake makes it fail, with its line in the journal."""
    before = forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane")
    forwarder.vm.guest.put("/etc/sluice/sluice.toml", CONFIG.replace("queue_pairs = 2", "queue_pairs = 1"))
    forwarder.run("systemctl reload sluice-agent", timeout=300).check()
    assert forwarder.pairs() == 1
    forwarder.vm.guest.put("/etc/sluice/sluice.toml", CONFIG.replace("queue_pairs = 2", "queue_pairs = none"))
    assert forwarder.run("systemctl reload sluice-agent", timeout=300).rc != 0
    assert "sluice.toml:10" in forwarder.run("journalctl -u sluice-agent -n 20 --no-pager -o cat").check().out
    assert forwarder.pairs() == 1
    forwarder.vm.guest.put("/etc/sluice/sluice.toml", CONFIG)
    forwarder.run("systemctl reload sluice-agent", timeout=300).check()
    assert forwarder.pairs() == 2
    forwarder.carries()
    assert before == (forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane"))


def test_upgrade_under_traffic(forwarder, newer_package):
    before = forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane")
    forwarder.vm.guest.put("/root/newer.deb", newer_package.read_bytes())
    with forwarder.stream(rate=100) as stream:
        forwarder.run("dpkg --install /root/newer.deb", timeout=600).check()
        forwarder.wait_for_successor("sluice-dataplane", before[1])
    print(f"upgrade: {stream.total['sent']} sent, {stream.total['received']} received")
    after = forwarder.main_pid("sluice-agent"), forwarder.main_pid("sluice-dataplane")
    assert before[0] != after[0] and before[1] != after[1]
    forwarder.run(f"systemctl is-active {UNITS}").check()
    forwarder.carries()


def test_purge_leaves_kernel_and_system_clean(forwarder):
    forwarder.run("systemctl stop sluice-agent", timeout=120).check()
    assert forwarder.run("systemctl is-active sluice-dataplane").out.strip() == "inactive"
    stopped = forwarder.run(KERNEL_STATE).check().out
    assert "slu" not in stopped and "xdp" not in stopped and "clsact" not in stopped, stopped
    forwarder.run("systemctl start sluice-agent", timeout=300).check()
    assert forwarder.run(KERNEL_STATE).check().out != stopped
    forwarder.run("dpkg --purge sluice", timeout=300).check()
    assert forwarder.run(KERNEL_STATE).check().out == stopped
    assert forwarder.run("pidof sluice-agent sluice-dataplane").rc == 1
    assert forwarder.run("systemctl --failed --plain --no-legend").check().out == ""
    assert forwarder.run(f"systemctl cat {UNITS}").rc != 0
    for gone in ("passwd sluice-dataplane", "group sluice", "group sluice-admin", "group sluice-dataplane"):
        assert forwarder.run(f"getent {gone}").rc == 2, gone
    for path in ("/etc/sluice", "/var/lib/sluice", "/run/sluice", "/sys/fs/bpf/sluice"):
        assert forwarder.run(f"test -e {path}").rc == 1, path
