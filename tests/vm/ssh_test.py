"""An operator's ssh session into the guest, over the device that Sluice uses, survives everything that Sluice does."""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.lib.command import PATIENCE, wait_until
from tests.lib.vm import GuestFile, booted

HOST, GUEST = "198.18.5.1", "198.18.5.2"
SERVER = f"""mkdir -p /etc/dropbear /root/.ssh && chmod 700 /root /root/.ssh
cat /tmp/key.pub > /root/.ssh/authorized_keys
ip addr add {GUEST}/24 dev eth0
dropbear -R -s -p {GUEST}:22"""


class Session:
    """`cat` at the other end of an ssh connection: every line comes back, or the session is dead."""

    def __init__(self, vm, key):
        words = ["dbclient", "-y", "-y", "-T", "-i", str(key), f"root@{GUEST}", "cat"]
        self.process = subprocess.Popen(vm.net.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = 0
        self.heard = b""

    def say(self):
        assert self.process.poll() is None, self.process.stderr.read().decode()
        self.said += 1
        self.process.stdin.write(b"line %d\n" % self.said)
        self.process.stdin.flush()

    def lives(self):
        """Sends another line and waits until all have come back."""
        self.say()
        wait_until(self.heard_all, lambda: f"line {self.said}: heard {self.heard[-40:]!r}", PATIENCE)

    def heard_all(self):
        self.heard += self.process.stdout.read() or b""
        return self.heard == b"".join(b"line %d\n" % number for number in range(1, self.said + 1))

    def close(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def operator(vm):
    """Sets up addresses and a server in the guest; yields a session from the host, and its key."""
    vm.net.exec(["ip", "addr", "add", f"{HOST}/24", "dev", vm.net.taps[0]])
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", key], check=True, capture_output=True)
        public = subprocess.run(["dropbearkey", "-y", "-f", key], check=True, capture_output=True, text=True).stdout
        line = next(text for text in public.splitlines() if text.startswith("ssh-"))
        vm.guest.put("/tmp/key.pub", line + "\n")
        vm.guest.run(SERVER).check()
        session = Session(vm, key)
        try:
            session.lives()
            yield session, key
        finally:
            session.close()


# Of all TCP, these rules pass ssh and drop the rest. They name no other packets.
ONLY_SSH = """
[[rule]]
proto = "tcp"
dst_port = 22
action = "pass"

[[rule]]
proto = "tcp"
action = "drop"
"""
NO_SSH = '[[rule]]\nproto = "tcp"\naction = "drop"\n'
CONFIRM_SECONDS = 10


def test_a_session_outlives_attach_rules_resizes_reload_crashes_and_a_lockout():
    with booted("6.1", files=[GuestFile("/usr/sbin/dropbear", Path("/usr/sbin/dropbear"))]) as vm, \
            operator(vm) as (session, key):
        function = vm.start("reflect")
        session.lives()
        function.ctl("blocklist", "add", "203.0.113.0/24", "2001:db8:bad::/48").check()
        text = function.toml
        function.toml = text + ONLY_SSH  # function.start() writes it again for the next agent
        vm.guest.put("/etc/sluice/sluice.toml", function.toml)
        vm.guest.run("kill -HUP $(pidof sluice-agent)").check()
        wait_until(lambda: "dst_port=22" in function.ctl("rules").out, function.agent.output)
        session.lives()
        for pairs in (4, 1):
            function.resize(pairs).check()
            session.lives()
        vm.guest.run("kill -9 $(pidof sluice-dataplane)").check()
        session.lives()
        wait_until(lambda: function.status()["dataplane"]["state"] == "running", function.agent.output)
        session.lives()
        vm.guest.run("kill -9 $(pidof sluice-agent)").check()
        session.lives()
        function.start()
        session.lives()
        # A new session works too; it needs ARP, or an entry that is still valid, and the port.
        again = Session(vm, key)
        again.lives()
        again.close()
        # A configuration without ssh locks the operator out until it is rolled back, since nobody confirms it.
        vm.guest.put("/etc/sluice/sluice.toml", text + NO_SSH)
        function.ctl("config", "apply", "--confirm", f"{CONFIRM_SECONDS}s").check()
        session.say()
        wait_until(lambda: dropped(function) > 0, "the drop of the line")
        assert not session.heard_all()
        wait_until(lambda: "dst_port=22" in function.ctl("rules").out, function.agent.output,
                   CONFIRM_SECONDS + PATIENCE)
        session.lives()
        assert function.stop().rc == 0, function.agent.output()
        session.lives()


def dropped(function):
    """Returns the number of packets that rules have dropped."""
    rules = json.loads(function.ctl("rules", "-o", "json").check().out)["rules"]
    return sum(int(rule["packets"]) for rule in rules if rule["fields"]["action"] == "drop")
