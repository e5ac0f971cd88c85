"""sluicectl doctor tells of changes of a port under a running agent."""

import signal

from tests.lib import protojson
from tests.lib.agent import REFUSED


def finding_of(done, check):
    """Returns a doctor's finding about the port wan. The exit code must tell whether a finding is an error."""
    findings = protojson.loads(done.stdout)["findings"]
    errors = any(finding["severity"] == "SEVERITY_ERROR" for finding in findings)
    assert done.returncode == (REFUSED if errors else 0), done
    return next(finding for finding in findings if (finding["port"], finding["check"]) == ("wan", check))


def test_mtu_that_grew_since_the_start(reflector, programs):
    device = reflector().start()

    def mtu():
        finding = finding_of(device.agent.ctl("doctor", "-o", "json", check=False), "mtu")
        return finding["severity"], finding["what"]

    assert mtu() == ("SEVERITY_OK", "MTU 1500 fits frames of 2048 bytes")
    device.dut.run("ip", "link", "set", "wan0", "mtu", 3000)
    assert mtu() == ("SEVERITY_ERROR", "MTU 3000 needs frames of 4096 bytes, they have 2048")
    # Without the agent no frames are there yet that could be too small.
    local = device.dut.run(programs.ctl, "doctor", "--config", device.agent.config, "-o", "json")
    finding = finding_of(local, "mtu")
    assert (finding["severity"], finding["what"]) == (
        "SEVERITY_OK", "the device takes MTU 3000, with frames of 4096 bytes")
    device.agent.process.signal(signal.SIGUSR1)
    assert device.agent.process.wait() == 0
    device.agent.start()
    assert mtu() == ("SEVERITY_ERROR", "MTU 3000 needs frames of 4096 bytes, they have 2048"), "the lanes stayed"
    device.agent.stop()
    device.agent.start()
    assert mtu() == ("SEVERITY_OK", "MTU 3000 fits frames of 4096 bytes")


def test_link_that_went_down(reflector):
    device = reflector().start()

    def link():
        finding = finding_of(device.agent.ctl("doctor", "-o", "json"), "link")
        return finding["severity"], finding["what"]

    assert link() == ("SEVERITY_OK", "the link is up")
    device.gen.run("ip", "link", "set", "a0", "down")
    assert link() == ("SEVERITY_WARNING", "the link is down: the other end gives no carrier")
    device.gen.run("ip", "link", "set", "a0", "up")
    device.dut.run("ip", "link", "set", "wan0", "down")
    assert link() == ("SEVERITY_WARNING", "the link is down: somebody set it down, or nobody set it up yet")
    device.dut.run("ip", "link", "set", "wan0", "up")
    assert link() == ("SEVERITY_OK", "the link is up")
