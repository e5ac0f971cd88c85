"""The QEMU command line, and a test whether KVM works on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_folder, complete_file, locked
from .cpio import CpioWriter
from .fetch import Kernel, Qemu
from .tsc import tsc_khz
from .undo import Undo

# A stock kernel boots within two seconds by KVM; if it takes this long, KVM does not work.
_PROBE_SECONDS = 12
_PROBE_MARK = "sluice-kvm-works"
_GRACE_SECONDS = 3

# With these offloads on, the device queues super-packets and partial checksums,
# which the kernel drops when XDP is attached again. A guest cannot turn them off.
_GUEST_OFFLOADS = ("csum", "tso4", "tso6", "ecn", "ufo", "uso4", "uso6")


@dataclass(frozen=True)
class Nic:
    """A multiqueue virtio-net device, backed by the tap device `tap`, or by the vhost-user switch that connects to the
    socket `vhost_user`, which QEMU makes.

    `offloads` are those towards the guest. `extra` is added to the device's
    properties as it is, after a comma.
    """

    tap: str
    queues: int = 4
    mac: str | None = None
    offloads: bool = False
    rss: bool = False
    iommu_platform: bool = False
    vhost: bool = False
    vhost_user: str = ""
    extra: str = ""

    def arguments(self, index: int, mmio: bool = False) -> list[str]:
        """Returns the QEMU arguments for this device as the guest's number `index`."""
        if self.vhost_user:
            netdev = f"vhost-user,id=net{index},chardev=vhost{index}"
        else:
            netdev = f"tap,id=net{index},ifname={self.tap},script=no,downscript=no"
            netdev += f",vhost={'on' if self.vhost else 'off'}"
        mac = self.mac or f"52:54:00:51:1c:{index:02x}"
        # One interrupt per queue, one for the configuration, one for control.
        vectors = 2 * self.queues + 2
        kind = "virtio-net-device" if mmio else f"virtio-net-pci,romfile=,vectors={vectors}"
        device = f"{kind},netdev=net{index},mac={mac}"
        if self.queues > 1:
            netdev += f",queues={self.queues}"
            device += ",mq=on"
        if not self.offloads:
            device += "".join(f",guest_{name}=off" for name in _GUEST_OFFLOADS)
        if self.rss:
            # Without hash reporting all packets land on queue 0.
            device += ",rss=on,hash=on"
        if self.iommu_platform:
            device += ",iommu_platform=on" + ("" if mmio else ",disable-legacy=on")
        if self.extra:
            device += f",{self.extra}"
        words = ["-netdev", netdev, "-device", device]
        return [*_socket(f"vhost{index}", Path(self.vhost_user), wait=True), *words] if self.vhost_user else words


@dataclass(frozen=True)
class Machine:
    """One guest, as its QEMU command line describes it."""

    qemu: Qemu
    kernel: Kernel
    image: Path
    accel: str
    thread_per_cpu: bool  # for an emulated machine: faster, but the guest may panic (_plain_machine)
    cpus: int
    memory_mb: int
    nics: Sequence[Nic]
    console_log: Path
    terminal_socket: Path
    command_sockets: Sequence[Path]
    kernel_options: Sequence[str] = ()
    mmio: bool = False  # a machine without PCI: its virtio devices are memory-mapped

    def arguments(self) -> list[str]:
        """The QEMU command."""
        words = [*self.qemu.command(), *_plain_machine(self.accel, self.thread_per_cpu, self.mmio)]
        words += ["-smp", str(self.cpus), "-m", f"{self.memory_mb}M"]
        words += ["-kernel", str(self.kernel.image), "-initrd", str(self.image)]
        words += ["-append", " ".join([*_kernel_options(self.accel, len(self.command_sockets)), *self.kernel_options])]
        words += ["-serial", f"file:{self.console_log}"]
        bus = "device" if self.mmio else "pci"
        words += ["-device", f"virtio-rng-{bus}"]
        words += ["-device", f"virtio-serial-{bus},id=ports"]
        words += _socket("terminal", self.terminal_socket)
        # A kernel may make a console of port 0.
        words += ["-device", "virtconsole,bus=ports.0,nr=0,chardev=terminal"]
        for number, path in enumerate(self.command_sockets, start=1):
            name = f"command{number}"
            words += _socket(name, path)
            port = f"virtserialport,bus=ports.0,nr={number},chardev={name},name={name}"
            words += ["-device", port]
        if any(nic.vhost_user for nic in self.nics):  # the switch maps the guest's memory
            words += ["-object", f"memory-backend-memfd,id=memory,size={self.memory_mb}M,share=on"]
            words += ["-machine", "memory-backend=memory"]
        for index, nic in enumerate(self.nics):
            words += nic.arguments(index, self.mmio)
        return words


def _socket(name: str, path: Path, wait: bool = False) -> list[str]:
    return ["-chardev", f"socket,id={name},path={path},server=on,wait={'on' if wait else 'off'}"]


def _plain_machine(accel: str, thread_per_cpu: bool = False, mmio: bool = False) -> list[str]:
    words = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    # Without modern devices a memory-mapped one has the legacy layout, in which its features end at 32.
    words += ["-M", "microvm", "-global", "virtio-mmio.force-legacy=off"] if mmio else ["-M", "q35"]
    if accel == "kvm":
        return [*words, "-accel", "kvm", "-cpu", "host"]
    # With one thread per CPU, guests' kernels panicked twice with "Oops: int3" in a resize (QEMU 10.0.2): the kernel
    # patches its own code when XDP is attached or detached, and a CPU seems to have run code that was patched back.
    threads = "multi" if thread_per_cpu else "single"
    return [*words, "-accel", f"tcg,thread={threads}", "-cpu", "max,la57=off"]


def _kernel_options(accel: str, ports: int) -> list[str]:
    # Log level 5 shows warnings and worse; printing every message would slow the boot down.
    words = ["console=ttyS0", "loglevel=5", "panic=1", "net.ifnames=0", "mitigations=off"]
    words.append(f"guest.ports={ports}")  # init waits for this number of ports
    if accel != "kvm":
        # An emulated CPU may stand still for long when the machine is busy.
        words += ["nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1", "tsc=nowatchdog", "no_timer_check"]
        if khz := tsc_khz():
            words.append(f"tsc_early_khz={khz}")
        # QEMU may abort (iotlb_to_section) when one CPU maps a PCI device while
        # another uses its interrupt controller, so init starts the others later.
        # The kernel would then measure each one's delay loop for seconds; lpj is
        # the result at 2 GHz, and no device here needs exact delays.
        words += ["maxcpus=1", "lpj=8000000"]
    return words


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts QEMU; its output goes to `log`. It ends when this process does, if there is an Undo."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            # Ctrl-C goes to the guest's starter, which then ends it in order.
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends QEMU, if it has not ended, and waits for that."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def detect_accel(qemu: Qemu, kernel: Kernel) -> str:
    """Returns "kvm" if a guest boots with it, else "tcg". Tried once per boot of the machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    answer = cache_folder() / f"accel-{boot}"
    with locked("accel"):
        if not answer.exists():
            for stale in cache_folder().glob("accel-*"):
                stale.unlink()
        complete_file(answer, lambda path: _write_answer(path, qemu, kernel))
        return answer.read_text(encoding="ascii").strip()


def _write_answer(path: Path, qemu: Qemu, kernel: Kernel) -> None:
    path.write_text("kvm" if _kvm_boots(qemu, kernel) else "tcg", encoding="ascii")


def _kvm_boots(qemu: Qemu, kernel: Kernel) -> bool:
    """Boots a kernel whose init prints a word and powers off, since opening /dev/kvm proves little."""
    image = cache_folder() / "kvm-probe.cpio"
    script = f"#!/busybox sh\n/busybox echo {_PROBE_MARK}\n/busybox poweroff -f\n"
    with image.open("wb") as out:
        archive = CpioWriter(out)
        archive.file("busybox", Path("/bin/busybox").read_bytes(), 0o755)
        archive.file("init", script.encode(), 0o755)
        archive.finish()
    console = cache_folder() / "kvm-probe.log"
    command = [*qemu.command(), *_plain_machine("kvm"), "-m", "256M", "-serial", "stdio"]
    command += ["-kernel", str(kernel.image), "-initrd", str(image)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    with Undo():
        process = start(command, console)
        try:
            process.wait(_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        finally:
            end(process)
    return _PROBE_MARK.encode() in console.read_bytes()
