"""The loads of the 2012 series, as cells of its tables, and the clients that make them.

    TCP_RR        wrk asks nginx for SIZE bytes, again and again, on each of SESSIONS connections
    TCP_CRR       the same with a new connection for each request
    stream        iperf3 writes SIZE bytes at a time; each session is a process of its own
    packets       frames of SIZE bytes, as many as go (the bed has the generator)

netperf, which the series used, is not free software for Debian. An answer of wrk's nginx has about 140 bytes of header
before its body, a request about 50, so a transaction is a packet each way, as it is with netperf.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.bench.seed import servers
from tests.lib.command import PATIENCE

PACKETS, RR, CRR, STREAM_OUT, STREAM_IN = "packets", "TCP_RR", "TCP_CRR", "stream out", "stream in"
LOADS = (PACKETS, RR, CRR, STREAM_OUT, STREAM_IN)
UNITS = {PACKETS: "kpps", RR: "transactions/s", CRR: "transactions/s", STREAM_OUT: "Mbit/s", STREAM_IN: "Mbit/s"}
REQUEST_SIZES = (1, 64, 256)
REQUEST_SESSIONS = (1, 20, 50, 100)
STREAM_SIZES = (1, 64, 256, 1024, 4096, 16384)
STREAM_SESSIONS = (1, 2, 4)
# wrk with more threads than this would have more than the machines here can run beside the servers.
_WRK_THREADS = 2


# An iperf3 that has just served a client listens anew a moment later.
_NOT_READY = re.compile(r"unable to connect to server|server is busy|unable to receive control message")


class NotReady(RuntimeError):
    """A server is still at its last client. Try again."""


class Cell(NamedTuple):
    """A row of a table of the series."""

    load: str
    size: int
    sessions: int


class Ends(NamedTuple):
    """Both ends of a bed's path."""

    enter: Callable[[Sequence[str]], Sequence[str]]  # returns a command that runs another one at the client
    address: str  # the server's


def cells(load: str) -> list[Cell]:
    """Returns the series' grid of a load that a client makes."""
    sizes, sessions = (REQUEST_SIZES, REQUEST_SESSIONS) if load in (RR, CRR) else (STREAM_SIZES, STREAM_SESSIONS)
    return [Cell(load, size, many) for size in sizes for many in sessions]


def throughput(cell: Cell, ends: Ends, seconds: int) -> float:
    """Runs the cell's client or clients and returns the throughput, in its unit. Raises RuntimeError if one fails,
    NotReady if it may be tried again."""
    make = _requests if cell.load in (RR, CRR) else _streams
    try:
        return make(cell, ends, seconds)
    except RuntimeError as error:
        raise NotReady(str(error)) if _NOT_READY.search(str(error)) else error from None


def _together(commands: Sequence[Sequence[str]], seconds: int) -> list[str]:
    """Runs commands at the same time; returns what they print."""
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for words in commands]
    try:
        said = [process.communicate(timeout=seconds + PATIENCE) for process in running]
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{commands[0][-1]}: a client did not end within {seconds + PATIENCE} s") from None
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, (out, err) in zip(running, said):
        if process.returncode != 0:
            raise RuntimeError(f"a client ended with {process.returncode}: {(err + out).strip()[-300:]}")
    return [out for out, _ in said]


def _requests(cell: Cell, ends: Ends, seconds: int) -> float:
    words = ["wrk", "--threads", str(min(cell.sessions, _WRK_THREADS)), "--connections", str(cell.sessions),
             "--duration", f"{seconds}s", "--timeout", f"{PATIENCE}s"]
    if cell.load == CRR:
        words += ["--header", "Connection: close"]
    [said] = _together([ends.enter([*words, f"http://{ends.address}:{servers.HTTP_PORT}/{cell.size}"])], seconds)
    return requests_per_second(said)


def requests_per_second(report: str) -> float:
    """Returns the rate of wrk's report. Raises RuntimeError if requests failed."""
    if failed := re.search(r"^\s*(Socket errors|Non-2xx).*$", report, re.MULTILINE):
        raise RuntimeError(f"wrk: {failed[0].strip()}")
    rate = re.search(r"^Requests/sec:\s*([\d.]+)$", report, re.MULTILINE)
    if rate is None or not float(rate[1]):
        raise RuntimeError(f"wrk: no request was answered: {report.strip()[-300:]}")
    return float(rate[1])


def _streams(cell: Cell, ends: Ends, seconds: int) -> float:
    """`out` leaves the server."""
    commands = [ends.enter(["iperf3", "--client", ends.address, "--port", str(servers.iperf3_port(session)), "--json",
                            "--time", str(seconds), "--length", str(cell.size),
                            *(["--reverse"] if cell.load == STREAM_OUT else [])]) for session in range(cell.sessions)]
    return sum(servers.stream_mbps(said) for said in _together(commands, seconds))
