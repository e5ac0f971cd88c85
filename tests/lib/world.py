"""Network namespaces, veth pairs and processes of one test, all gone when it ends, or when its process does.

    with World() as world:
        gen, dut = world.netns("gen"), world.netns("dut")
        world.veth(gen, "a0", dut, "wan", queues=4)
        gen.run("ping", ...)

Names are unique to the process, so tests of several checkouts can run at once. Programs enter the network namespace
only, while `ip netns exec` makes a mount namespace too: so they see the machine's bpffs.
"""

import ctypes
import fcntl
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

from tests.lib import build
from tests.lib.command import PATIENCE, run, wait_until

sys.path.insert(0, str(build.REPOSITORY / "deploy"))
from testbed.undo import Undo  # noqa: E402

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()
# Runs in a separate mount namespace; $1 is a folder where bpffs is kept while /sys is replaced, and where a test may
# have put another /etc/group.
WITH_SYS = """set -e
mkdir -p "$1/bpf"
mount --bind /sys/fs/bpf "$1/bpf"
mount -t sysfs sysfs /sys
mount --bind "$1/bpf" /sys/fs/bpf
[ ! -e "$1/group" ] || mount --bind "$1/group" /etc/group
shift
exec "$@"
"""
BPFFS = pathlib.Path("/sys/fs/bpf")
OFFLOADS = ("gro", "gso", "tso", "rx", "tx", "sg", "rxvlan", "txvlan")


def mount_bpffs():
    """Mounts bpffs if it is missing, as on machines without systemd. The lock is for tests that run at the same time.
    """
    with open("/run/sluice-test-bpffs.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if run("findmnt", "--first-only", "--noheadings", "--output", "FSTYPE", BPFFS, check=False).stdout != "bpf\n":
            run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", BPFFS)


def in_netns(netns, make):
    """Calls `make` in the namespace and returns its value; a socket stays in the namespace where it was made."""
    made, failed = [], []

    def enter_and_make():  # runs in a new thread, since setns() changes the thread's namespace
        try:
            with open(f"/run/netns/{netns.name}") as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"entering {netns.name}")
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


class Process:
    """A program in the background; its output goes to a file and is shown when something fails."""

    def __init__(self, argv, log):
        self.argv = [str(arg) for arg in argv]
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, timeout=PATIENCE):
        return self.popen.wait(timeout)

    def stop(self, timeout=PATIENCE):
        """Sends SIGTERM and returns the exit code. At the timeout it kills the program and raises AssertionError."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.argv[0]} did not end within {timeout} s of SIGTERM\n{self.output()}") from None

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def output(self):
        return self.log.read_text(errors="replace")


class Netns:
    def __init__(self, world, label, name):
        self.world = world
        self.label = label
        self.name = name

    def enter(self, *argv):
        return ("nsenter", f"--net=/run/netns/{self.name}", *argv)

    def enter_with_sys(self, *argv):
        """Like enter(), for programs that read /sys: it shows this namespace's devices, and the machine's bpffs."""
        return self.enter("unshare", "--mount", "sh", "-c", WITH_SYS, "sh", self.world.folder, *argv)

    def run(self, *argv, **options):
        return run(*self.enter(*argv), **options)

    def start(self, *argv):
        return self.world.start(*self.enter(*argv))

    def json(self, *argv):
        return json.loads(self.run(*argv).stdout or "[]")

    def mac(self, netdev):
        return self.json("ip", "-j", "link", "show", netdev)[0]["address"]

    def counters(self, netdev):
        """Returns {"rx": {"packets": …, "dropped": …}, "tx": …}."""
        return self.json("ip", "-j", "-s", "link", "show", netdev)[0]["stats64"]

    def ifindex(self, netdev):
        return self.json("ip", "-j", "link", "show", netdev)[0]["ifindex"]

    def pids(self):
        return [int(pid) for pid in run("ip", "netns", "pids", self.name, check=False).stdout.split()]


class World:
    def __init__(self):
        self.folder = None
        self.processes = []
        self.pin_root = None

    def __enter__(self):
        mount_bpffs()
        self.undo = Undo()
        self.folder = pathlib.Path(tempfile.gettempdir(), f"sluice-test-{uuid.uuid4().hex[:8]}")
        # Not below /sys/fs/bpf/sluice, which an agent that serves this machine may use.
        self.pin_root = BPFFS / self.folder.name
        self.undo.folder(self.folder)
        self.undo.folder(self.pin_root)
        self.folder.mkdir()  # open to the dataplane's user, who finds the agent's socket there
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            if process.running():
                process.kill()
        self.undo.end()

    def netns(self, label):
        name = f"slt{os.getpid()}-{next(_numbers)}-{label}"
        self.undo.namespace(name)
        run("ip", "netns", "add", name)
        space = Netns(self, label, name)
        # Without IPv6 the wire has only the packets that the test sends.
        space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        space.run("ip", "link", "set", "lo", "up")
        return space

    def veth(self, left, left_name, right, right_name, queues=1, offloads=False, mtu=1500):
        """Makes a veth pair, up on both ends, with every offload off unless `offloads` is set."""
        queue_args = ("numtxqueues", queues, "numrxqueues", queues)
        run("ip", "link", "add", left_name, "netns", left.name, "mtu", mtu, *queue_args, "type", "veth",
            "peer", "name", right_name, "netns", right.name, "mtu", mtu, *queue_args)
        for space, name in ((left, left_name), (right, right_name)):
            if not offloads:
                for feature in OFFLOADS:  # one by one, since some kernels have some of them fixed
                    space.run("ethtool", "-K", name, feature, "off", check=False)
            space.run("ip", "link", "set", name, "up")
        for space, name in ((left, left_name), (right, right_name)):
            wait_until(lambda: space.json("ip", "-j", "link", "show", name)[0]["operstate"] == "UP", f"{name} up")

    def start(self, *argv):
        log = self.folder / f"{len(self.processes)}.log"
        process = Process(argv, log)
        self.processes.append(process)
        return process

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def describe(self):
        """Returns the output of every background process, for the report of a failed test."""
        return "\n".join(f"=== {' '.join(p.argv)}\n{p.output()}" for p in self.processes)
