"""The schema check of Debian's cloud-init, which is unpacked into the guests' cache.

It is not installed, since its package would configure this machine at the next boot.
"""

import pathlib
import sys

from tests.lib.command import run

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "deploy"))

from testbed.apt import PrivateApt, debian_release  # noqa: E402
from testbed.cache import cache_folder, complete_folder, locked  # noqa: E402
from testbed.fetch import CODENAMES  # noqa: E402


def _download(into):
    codename = CODENAMES[debian_release()]
    with PrivateApt(cache_folder() / "apt-cloud-init", [codename, f"{codename}-security"]) as apt:
        modules = [name for name in apt.depends("cloud-init") if name.startswith("python3-")]
        apt.unpack(["cloud-init", *apt.missing(modules, None)], into)


def check_schema(user_data):
    """Checks a file of user data; the result has returncode 0 if it is valid."""
    with locked("cloud-init"):
        folder = complete_folder(cache_folder() / "cloud-init", _download)
    path = folder / "usr/lib/python3/dist-packages"
    command = ["env", f"PYTHONPATH={path}", "/usr/bin/python3", "-B", "-m", "cloudinit.cmd.main"]
    return run(*command, "schema", "--config-file", user_data, check=False)
