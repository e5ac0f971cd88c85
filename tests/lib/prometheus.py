"""Debian's Prometheus, unpacked into the guests' cache: a server in a namespace, and promtool.

It is not installed, since its package would start a service on this machine.
"""

import json
import pathlib
import sys
import urllib.parse

from tests.lib.command import CommandFailed, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "deploy"))

from testbed.apt import PrivateApt, debian_release  # noqa: E402
from testbed.cache import cache_folder, complete_folder, locked  # noqa: E402
from testbed.fetch import CODENAMES  # noqa: E402

# Since Debian 13 promtool has a package of its own.
PACKAGES = {"bookworm": ["prometheus"], "trixie": ["prometheus", "promtool"]}
FETCH = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=10).read().decode())"


def _download(into):
    codename = CODENAMES[debian_release()]
    packages = PACKAGES[codename]
    with PrivateApt(cache_folder() / "apt-prometheus", [codename, f"{codename}-security"]) as apt:
        apt.unpack(packages, into)


def program(name):
    with locked("prometheus"):
        folder = cache_folder() / f"prometheus-{CODENAMES[debian_release()]}"
        return complete_folder(folder, _download) / "usr/bin" / name


def fetch(netns, url):
    """Returns the body of a GET in that namespace. Raises CommandFailed with the HTTP code if it fails."""
    return netns.run("/usr/bin/python3", "-c", FETCH, url).stdout


class Prometheus:
    """A server in `netns` that scrapes Sluice's default address once a second."""

    URL = "http://127.0.0.1:9090"

    def __init__(self, world, netns, config):
        self.netns = netns
        self.process = netns.start(program("prometheus"), "--config.file", config, "--storage.tsdb.path",
                                   world.folder / "prometheus", "--web.listen-address", "127.0.0.1:9090")
        wait_until(self._ready, self.process.output)

    def _ready(self):
        assert self.process.running(), self.process.output()
        try:
            return fetch(self.netns, f"{self.URL}/-/ready")
        except CommandFailed:
            return None

    def api(self, path, **query):
        answer = json.loads(fetch(self.netns, f"{self.URL}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """Returns {labels without name, instance and job: value}."""
        found = {}
        for sample in self.api("query", query=expression)["result"]:
            labels = {k: v for k, v in sample["metric"].items() if k not in ("__name__", "instance", "job")}
            found[tuple(sorted(labels.items()))] = float(sample["value"][1])
        return found
