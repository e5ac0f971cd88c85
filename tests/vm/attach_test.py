"""The second way to use Sluice: xdp-loader attaches the program and the agent adopts it, also with other programs."""

from tests.lib.vm import booted

LOAD = """mkdir -p /sys/fs/bpf/sluice
xdp-loader load -m native -p /sys/fs/bpf/sluice/eth0 eth0 /usr/lib/sluice/sluice_steer.bpf.o
"""


def test_the_agent_adopts_what_xdp_loader_attached():
    """The agent uses the program that is attached, and leaves it when it ends."""
    with booted("6.12") as vm:
        vm.guest.run(LOAD).check()
        before = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" in before
        function = vm.start("reflect")
        assert function.status()["ports"][0]["xdp"]["attached_by"] == "xdp-loader"
        with vm.stream("--count", "200", "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"]
        function.resize(4).check()
        assert function.stop().rc == 0, function.agent.output()
        assert vm.guest.run("xdp-loader status eth0").check().out == before


def test_beside_another_program_a_channels_resize_needs_force():
    """The dispatcher runs xdp-filter and our program. The window takes both off, so it needs --force."""
    with booted("6.12") as vm:
        vm.guest.run("xdp-filter load --mode native eth0").check()
        function = vm.start("reflect")
        assert function.status()["ports"][0]["xdp"]["other_programs"] == 1
        refused = function.ctl("queues", "set", "4")
        assert refused.rc == 1 and "--force" in refused.out
        function.resize(4, "--force").check()
        status = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" in status and "xdpfilt" in status
        with vm.stream("--count", "200", "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"]
        assert function.stop().rc == 0, function.agent.output()
        left = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" not in left and "xdpfilt" in left
