"""A running guest, as a context manager."""

from __future__ import annotations

import contextlib
import math
import queue
import re
import shlex
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType

from .channel import Channel, GuestDied, GuestTimeout, Result
from .fetch import fetch_kernel, fetch_qemu
from .image import GuestFile, build_image
from .qemu import Machine, Nic, detect_accel, end, start
from .terminal import attach
from .undo import Undo

_CHANNELS = 4
_ANSWER_SECONDS = 60  # for the guest's work around the script itself
_POWEROFF_SECONDS = 10
# Under emulation QEMU itself may abort while the guest's kernel starts.
_BOOT_ATTEMPTS = 3
_TROUBLE = re.compile(
    r"^.*(?:\bBUG:|\bOops\b|Kernel panic|general protection fault|kernel BUG at"
    r"|WARNING: CPU|WARNING: possible|KASAN|Unable to handle|invalid opcode).*$",
    re.MULTILINE,
)


class Guest:
    """A stock kernel in QEMU with the given files and devices, or with the caller's initramfs.

    The caller's initramfs (`image`) has to serve the command ports (`serve`) and, in an emulated guest, to start all
    CPUs but the first. Scripts may be run from several threads at once, up to one per channel.
    """

    def __init__(
        self,
        kernel: str = "6.12",
        files: Sequence[GuestFile] = (),
        *,
        image: Path | None = None,
        cpus: int = 4,
        memory_mb: int = 256,
        nics: Sequence[Nic] = (),
        netns: str | None = None,
        accel: str | None = None,
        thread_per_cpu: bool = False,
        mmio: bool = False,
        modules: Sequence[str] = (),
        kernel_options: Sequence[str] = (),
        log_folder: Path | None = None,
        boot_timeout: float = 300,
    ) -> None:
        self._series = kernel
        self._files = files
        self._image = image
        self._cpus = cpus
        self._memory_mb = memory_mb
        self._nics = nics
        self._netns = netns
        self._modules = modules
        self._kernel_options = kernel_options
        self._boot_timeout = boot_timeout
        self._log_folder = log_folder
        self._accel = accel
        self._thread_per_cpu = thread_per_cpu
        self._mmio = mmio
        self._process: subprocess.Popen[bytes] | None = None
        self._channels: list[Channel] = []
        self._free: queue.LifoQueue[Channel] = queue.LifoQueue()
        self._numbers = count(1)
        self._folder = Path()
        self._undo = Undo()
        self.accel = ""
        self.release = ""
        self.boot_seconds = 0.0
        self.boot_attempts = 0
        self.console_log = Path()

    def __enter__(self) -> Guest:
        while True:
            self.boot_attempts += 1
            try:
                self._boot()
                return self
            except BaseException as error:
                crashed = isinstance(error, GuestDied) and self._qemu_crashed()
                self.close()
                if not crashed or self.boot_attempts == _BOOT_ATTEMPTS:
                    raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Starting and ending

    def _boot(self) -> None:
        qemu = fetch_qemu()
        kernel = fetch_kernel(self._series)
        image = self._image or build_image(kernel, self._files, self._modules)
        self.accel = self._accel or detect_accel(qemu, kernel)
        self.release = kernel.release
        # Not below the caller's folders, since a socket's path may have at most 107 characters.
        self._folder = Path(tempfile.gettempdir(), f"sluice-guest-{uuid.uuid4().hex[:8]}")
        self._undo.folder(self._folder)
        self._folder.mkdir(mode=0o700)
        logs = self._log_folder or self._folder
        logs.mkdir(parents=True, exist_ok=True)
        self.console_log = logs / "console.log"
        sockets = [self._folder / f"command{n}" for n in range(_CHANNELS)]
        machine = Machine(
            qemu=qemu,
            kernel=kernel,
            image=image,
            accel=self.accel,
            thread_per_cpu=self._thread_per_cpu,
            cpus=self._cpus,
            memory_mb=self._enough_memory(image),
            nics=self._nics,
            console_log=self.console_log,
            terminal_socket=self._folder / "terminal",
            command_sockets=sockets,
            kernel_options=self._kernel_options,
            mmio=self._mmio,
        )
        prefix = ["ip", "netns", "exec", self._netns] if self._netns else []
        started = time.monotonic()
        self._process = start([*prefix, *machine.arguments()], logs / "qemu.log")
        deadline = started + self._boot_timeout
        for path in sockets:
            channel = self._connect(path, deadline)
            self._channels.append(channel)
            self._free.put(channel)
        self._await_boot(deadline)
        self.boot_seconds = time.monotonic() - started

    def _enough_memory(self, image: Path) -> int:
        # The image is in memory twice while it is unpacked.
        return max(self._memory_mb, 192 + 2 * (image.stat().st_size >> 20))

    def _connect(self, path: Path, deadline: float) -> Channel:
        while True:
            try:
                return Channel(path)
            except OSError:
                if not self.alive() or time.monotonic() > deadline:
                    raise GuestDied(f"QEMU did not start:\n{self._last_words()}") from None
                time.sleep(0.02)

    def _await_boot(self, deadline: float) -> None:
        for channel in self._channels:
            try:
                channel.request("run 60 4", b"true", max(deadline - time.monotonic(), 1))
            except GuestDied as error:
                raise GuestDied(f"the guest did not boot: {error}\n{self._last_words()}") from error

    def _last_words(self) -> str:
        """The end of QEMU's messages and of the console, for error messages."""
        texts = [self.console_log.with_name("qemu.log"), self.console_log]
        found = [path.read_text(errors="replace")[-3000:] for path in texts if path.is_file()]
        return "\n".join(found).strip()

    def alive(self) -> bool:
        """Tells whether QEMU is running."""
        return self._process is not None and self._process.poll() is None

    def qemu_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _qemu_crashed(self) -> bool:
        """Tells whether QEMU ended by a signal, and not the guest by a panic."""
        if self._process is None:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(1) < 0
        return False

    def close(self) -> None:
        """Powers the guest off, and waits until QEMU has gone. May be called twice."""
        try:
            if self.alive() and self._channels and not self._free.empty():
                self._power_off()
        finally:
            if self._process is not None:
                end(self._process)
            for channel in self._channels:
                channel.close()
            self._channels.clear()
            self._free = queue.LifoQueue()
            self._undo.end()

    def _power_off(self) -> None:
        assert self._process is not None
        with contextlib.suppress(OSError, queue.Empty, subprocess.TimeoutExpired):
            self._free.get_nowait().send("run 5 11", b"poweroff -f")
            self._process.wait(_POWEROFF_SECONDS)

    # Working with it

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Channel]:
        try:
            channel = self._free.get(timeout=_ANSWER_SECONDS if self.alive() else 0)
        except queue.Empty:
            raise GuestDied(f"no channel to the guest is left:\n{self._last_words()}") from None
        # A channel is given back only after its answer, which might otherwise reach the next user.
        try:
            yield channel
        except GuestDied as error:
            raise GuestDied(f"{error}\n{self._last_words()}") from error
        self._free.put(channel)

    def run(self, script: str, timeout: float = 120) -> Result:
        """Runs a shell script. At the timeout it is killed, with all processes that it started."""
        body = script.encode()
        seconds = math.ceil(timeout)
        began = time.monotonic()
        with self._channel() as channel:
            words = f"run {seconds} {len(body)}"
            code, raw = channel.request(words, body, seconds + _ANSWER_SECONDS)
        result = Result(code, raw, script)
        if code == 137 and time.monotonic() - began >= seconds:
            message = f"killed after {seconds} s: {script!r}:\n{result.out}"
            raise GuestTimeout(message, result.out)
        return result

    def put(self, guest_path: str, data: bytes | str) -> None:
        """Writes a file in the guest, and the folders above it."""
        body = data.encode() if isinstance(data, str) else data
        with self._channel() as channel:
            words = f"put {len(body)} {guest_path}"
            code, said = channel.request(words, body, _ANSWER_SECONDS + len(body) / 1e6)
        Result(code, said, f"put {guest_path}").check()

    def get(self, guest_path: str) -> bytes:
        """Reads a file of the guest."""
        with self._channel() as channel:
            code, data = channel.request(f"get {guest_path}", b"", 2 * _ANSWER_SECONDS)
        return Result(code, data, f"get {guest_path}").check().raw

    def spawn(self, script: str) -> Background:
        """Starts a shell script and leaves it running."""
        path = f"/run/guest/background{next(self._numbers)}"
        self.put(path, script)
        inner = f"sh {path}; echo $? >{path}.exit~; mv {path}.exit~ {path}.log.exit"
        outer = f"setsid sh -c {shlex.quote(inner)} >{path}.log 2>&1 </dev/null & echo $!"
        return Background(self, int(self.run(outer).check().out), f"{path}.log")

    def attach_terminal(self) -> None:
        """Connects this process's terminal to a shell, until its exit or Ctrl-]."""
        attach(self._folder / "terminal", resize=self._resize_terminal)

    def _resize_terminal(self, rows: int, columns: int) -> None:
        self.run(f"stty -F /dev/hvc0 rows {rows} cols {columns}")

    def trouble(self) -> list[str]:
        """Returns the lines of the kernel's log that report a crash or a broken assertion."""
        text = self.console_log.read_text(errors="replace")
        with contextlib.suppress(GuestDied):
            text += "\n" + self.run("dmesg").out
        return list(dict.fromkeys(_TROUBLE.findall(text)))

    def assert_healthy(self) -> None:
        """Raises unless the guest is up and its kernel has reported no crash."""
        found = self.trouble()
        if found:
            raise AssertionError("the guest's kernel is in trouble:\n" + "\n".join(found))
        if not self.alive():
            raise AssertionError(f"the guest is gone:\n{self._last_words()}")


class Background:
    """A script that runs in the guest by itself. `log` is its output's path there."""

    def __init__(self, guest: Guest, pid: int, log: str) -> None:
        self._guest = guest
        self.pid = pid
        self.log = log

    def output(self) -> str:
        """Returns its output so far."""
        return self._guest.get(self.log).decode(errors="replace")

    def running(self) -> bool:
        """Tells whether it still runs."""
        return self._guest.run(f"[ ! -e {self.log}.exit ] && kill -0 {self.pid}").rc == 0

    def stop(self, signal: str = "TERM") -> None:
        """Signals it and all processes that it started."""
        self._guest.run(f"kill -s {signal} -- -{self.pid}")

    def wait(self, timeout: float = 120) -> Result:
        """Waits for its end."""
        script = f"until [ -e {self.log}.exit ]; do sleep 0.1; done; cat {self.log}.exit"
        code = int(self._guest.run(script, timeout).check().out)
        return Result(code, self._guest.get(self.log), f"background {self.pid}")
