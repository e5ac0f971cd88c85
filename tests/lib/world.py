"""Network namespaces, veth pairs and processes of one test, all gone when it ends.

    with World() as world:
        gen, dut = world.netns("gen"), world.netns("dut")
        world.veth(gen, "a0", dut, "wan", queues=4)
        gen.run("ping", ...)

Names are unique to the process, so tests of several checkouts can run at once. Programs enter the network
namespace only, no mount namespace as with `ip netns exec`: they see the machine's bpffs.
"""

import ctypes
import fcntl
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

from tests.lib.command import PATIENCE, run, wait_until

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()
# In a mount namespace of its own; $1 is a folder to keep bpffs at while /sys is replaced.
WITH_SYS = """set -e
mkdir -p "$1/bpf"
mount --bind /sys/fs/bpf "$1/bpf"
mount -t sysfs sysfs /sys
mount --bind "$1/bpf" /sys/fs/bpf
shift
exec "$@"
"""
BPFFS = pathlib.Path("/sys/fs/bpf")
OFFLOADS = ("gro", "gso", "tso", "rx", "tx", "sg", "rxvlan", "txvlan")


def mount_bpffs():
    """Where it is missing, which it is on machines without systemd. One for all that run side by side."""
    with open("/run/sluice-test-bpffs.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if run("findmnt", "--first-only", "--noheadings", "--output", "FSTYPE", BPFFS, check=False).stdout != "bpf\n":
            run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", BPFFS)


def in_netns(netns, make):
    """What `make` returns, called in the namespace: a socket stays in the one it was made in."""
    made, failed = [], []

    def enter_and_make():  # in a thread of its own, which ends with the namespace it entered
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
        """SIGTERM; the exit code. Killed, and an error, when it takes too long."""
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
        """For programs that look into /sys: it shows this namespace's devices, and the machine's bpffs."""
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
        """{"rx": {"packets": …, "dropped": …}, "tx": …}"""
        return self.json("ip", "-j", "-s", "link", "show", netdev)[0]["stats64"]

    def ifindex(self, netdev):
        return self.json("ip", "-j", "link", "show", netdev)[0]["ifindex"]

    def pids(self):
        return [int(pid) for pid in run("ip", "netns", "pids", self.name, check=False).stdout.split()]


class World:
    def __init__(self):
        self.folder = None
        self.spaces = []
        self.processes = []
        self.pin_root = None

    def __enter__(self):
        mount_bpffs()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.folder.chmod(0o755)  # the dataplane, which is nobody, finds the agent's socket there
        # Not below /sys/fs/bpf/sluice: an agent that serves this machine stays apart.
        self.pin_root = BPFFS / self.folder.name
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            if process.running():
                process.kill()
        for space in self.spaces:
            for pid in space.pids():  # what our processes left behind, a dataplane say
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            run("ip", "netns", "del", space.name, check=False)
        shutil.rmtree(self.pin_root, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def netns(self, label):
        name = f"slt{os.getpid()}-{next(_numbers)}-{label}"
        run("ip", "netns", "add", name)
        space = Netns(self, label, name)
        self.spaces.append(space)
        # Nothing is on the wire but what the test sends.
        space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        space.run("ip", "link", "set", "lo", "up")
        return space

    def veth(self, left, left_name, right, right_name, queues=1, offloads=False, mtu=1500):
        """A pair, up on both ends, every offload off unless asked for."""
        queue_args = ("numtxqueues", queues, "numrxqueues", queues)
        run("ip", "link", "add", left_name, "netns", left.name, "mtu", mtu, *queue_args, "type", "veth",
            "peer", "name", right_name, "netns", right.name, "mtu", mtu, *queue_args)
        for space, name in ((left, left_name), (right, right_name)):
            if not offloads:
                for feature in OFFLOADS:  # one by one: some kernels have some of them fixed
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
        """The output of every background process, for the report of a failed test."""
        return "\n".join(f"=== {' '.join(p.argv)}\n{p.output()}" for p in self.processes)
