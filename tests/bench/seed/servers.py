"""The servers of the seed's loads: nginx answers requests, iperf3 sends and receives streams.

Debian's nginx is unpacked into the guests' cache and not installed, since its package starts a service. The servers run
in a namespace, or in a guest.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.lib.vm import GuestFile  # first: it puts deploy/ on the path

from testbed.apt import PrivateApt, debian_release  # isort: skip
from testbed.cache import cache_folder, complete_folder, locked  # isort: skip
from testbed.fetch import CODENAMES  # isort: skip

HTTP_PORT = 8080
# One iperf3 for each session, since one is one thread and takes one client at a time.
_FIRST_IPERF3_PORT = 5301
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_CONFIGURATION = """
daemon off;
user nobody nogroup;
worker_processes {workers};
error_log stderr;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    {temporary}
    server {{
        listen {address}:{port} reuseport backlog=4096;
        {answers}
    }}
}}
"""


def _download(into: Path) -> None:
    codename = CODENAMES[debian_release()]
    with PrivateApt(cache_folder() / "apt-nginx", [codename, f"{codename}-security"]) as apt:
        apt.unpack([package for package in apt.missing(["nginx"], None) if package.startswith("nginx=")], into)


def nginx() -> Path:
    """Returns the path of nginx; downloads it first if needed. It is linked with libraries of Debian's base system."""
    with locked("nginx"):
        return complete_folder(cache_folder() / "nginx", _download) / "usr/sbin/nginx"


def iperf3_port(session: int) -> int:
    return _FIRST_IPERF3_PORT + session


def configuration(address: str, workers: int, sizes: Sequence[int]) -> str:
    """Returns nginx's configuration: it answers a request for /SIZE with a body of SIZE bytes."""
    answers = "\n        ".join(f'location = /{size} {{ return 200 "{"x" * size}"; }}' for size in sizes)
    temporary = " ".join(f"{name}_temp_path temporary;" for name in _TEMPORARY)
    return _CONFIGURATION.format(workers=workers, address=address, port=HTTP_PORT, answers=answers, temporary=temporary)


def commands(program: str | Path, folder: str | Path, address: str, sessions: int) -> list[list[str]]:
    """Returns the servers' command lines; `folder` has configuration() as nginx.conf."""
    return [[str(program), "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"],
            *(["iperf3", "--server", "--bind", address, "--port", str(iperf3_port(session))]
              for session in range(sessions))]


def listen(sessions: int) -> str:
    """Returns a shell command that ends once all of them listen."""
    ports = [HTTP_PORT, *map(iperf3_port, range(sessions))]
    return f"for port in {' '.join(map(str, ports))}; do until ss -Hltn | grep -q :$port; do sleep 0.1; done; done"


def guest_files() -> list[GuestFile]:
    iperf3 = shutil.which("iperf3")
    if iperf3 is None:
        raise FileNotFoundError("iperf3 is missing: run deploy/install-deps bench")
    return [GuestFile("/usr/sbin/nginx", nginx()), GuestFile("/usr/bin/iperf3", iperf3)]


def stream_mbps(report: str) -> float:
    """Returns the megabits a second that arrived, of iperf3's report. Raises RuntimeError with its error."""
    said = json.loads(report)
    if "error" in said:
        raise RuntimeError(f"iperf3: {said['error']}")
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e6
