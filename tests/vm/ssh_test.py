"""An operator's ssh session into the guest, by the very device Sluice has: it outlives all that Sluice does."""

import contextlib
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
    """`cat` at the other end of an ssh connection: what is said comes back, or the session is dead."""

    def __init__(self, vm, key):
        words = ["dbclient", "-y", "-y", "-T", "-i", str(key), f"root@{GUEST}", "cat"]
        self.process = subprocess.Popen(vm.net.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = 0
        self.heard = b""

    def lives(self):
        """Says another line and waits for all of them."""
        assert self.process.poll() is None, self.process.stderr.read().decode()
        self.said += 1
        self.process.stdin.write(b"line %d\n" % self.said)
        self.process.stdin.flush()
        wait_until(self._heard_all, lambda: f"line {self.said}: heard {self.heard[-40:]!r}", PATIENCE)

    def _heard_all(self):
        self.heard += self.process.stdout.read() or b""
        return self.heard == b"".join(b"line %d\n" % number for number in range(1, self.said + 1))

    def close(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def operator(vm):
    """The device's addresses, a server in the guest, and a session from the host."""
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


def test_a_session_outlives_attach_rules_resizes_reload_and_crashes():
    with booted("6.1", files=[GuestFile("/usr/sbin/dropbear", Path("/usr/sbin/dropbear"))]) as vm, \
            operator(vm) as (session, key):
        function = vm.start("reflect")
        session.lives()
        # Everything that is not the guest's own goes to the function, or is dropped: ssh, ARP and ND are not touched.
        function.ctl("rules", "add", "drop", "proto=udp").check()
        function.ctl("blocklist", "add", "203.0.113.0/24", "2001:db8:bad::/48").check()
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
        # A new one comes in as well, which needs ARP or what it left, and the port.
        again = Session(vm, key)
        again.lives()
        again.close()
        assert function.stop().rc == 0, function.agent.output()
        session.lives()
