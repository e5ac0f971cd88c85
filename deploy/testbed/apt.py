"""Downloads and unpacks Debian packages without installing them.

Uses a private apt configuration with its own lists and state, but the mirror, the
proxy and the keys of the machine's apt. The machine's package state is only read,
to learn which libraries are installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType

DEFAULT_MIRROR = "http://deb.debian.org/debian"
_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)


class AptError(RuntimeError):
    """An apt or dpkg command failed; the message is its output."""


def _output(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, env=dict(env), cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()[-2000:]
        raise AptError(f"{' '.join(command)} failed ({done.returncode}):\n{said}")
    return done.stdout


def debian_release() -> int:
    """The machine's Debian release, 12 for bookworm."""
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)', text, re.MULTILINE))
    if fields.get("ID") != "debian" or not fields.get("VERSION_ID", "").isdigit():
        raise AptError(f"this needs Debian 12 or later, not {fields.get('PRETTY_NAME', 'this')}")
    return int(fields["VERSION_ID"])


@cache
def mirrors() -> tuple[str, str]:
    """The archive and the security archive that the machine's own apt reads."""
    listing = _output(["apt-get", "update", "--print-uris"], {**os.environ, "LC_ALL": "C"})
    archive = security = None
    for base, suite in re.findall(r"^'(\S+?)/dists/(\S+)/(?:In)?Release'", listing, re.MULTILINE):
        if suite.endswith("-security"):
            security = security or base
        elif "/debian" in base and not suite.endswith("-backports"):
            archive = archive or base
    archive = archive or DEFAULT_MIRROR
    return archive, security or re.sub(r"/debian/?$", "/debian-security", archive)


def host_acquire_settings() -> str:
    """Returns the settings by which the machine's apt reaches its mirror: proxies, retries, certificates."""
    dump = _output(["apt-config", "dump"], {**os.environ, "LC_ALL": "C"})
    skipped = ("Acquire::IndexTargets", "Acquire::Changelogs", "Acquire::Languages")
    lines = (line for line in dump.splitlines() if line.startswith("Acquire"))
    return "\n".join(line for line in lines if not line.startswith(skipped)) + "\n"


class PrivateApt:
    """apt over the given suites only, as a context manager.

    Its state is in `folder`, which is removed at the end.
    """

    def __init__(self, folder: Path, suites: Sequence[str]) -> None:
        self._folder = folder
        self._suites = suites
        self._env = {
            **os.environ,
            "APT_CONFIG": str(folder / "apt.conf"),
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }

    def __enter__(self) -> PrivateApt:
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("lists/partial", "archives/partial", "download"):
            (self._folder / name).mkdir(parents=True)
        try:
            self._write_sources()
            self._write_config()
            _output(["apt-get", "update", "-qq", "--error-on=any"], self._env)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_sources(self) -> None:
        archive, security = mirrors()
        keyring = next((path for path in _KEYRINGS if path.exists()), None)
        options = f"arch=amd64 signed-by={keyring}" if keyring else "arch=amd64"
        lines = [
            f"deb [{options}] {security if s.endswith('-security') else archive} {s} main"
            for s in self._suites
        ]
        (self._folder / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _write_config(self) -> None:
        # The machine's own configuration is left out: hooks in it would act on the
        # machine's lists and archives.
        config = self._folder / "apt.conf"
        config.touch(mode=0o600)  # a proxy's address may hold a password
        config.write_text(
            host_acquire_settings()
            + 'Acquire::Languages "none";\n'
            'Acquire::Retries "3";\n'
            f'Dir::State "{self._folder}";\n'
            f'Dir::State::status "/var/lib/dpkg/status";\n'
            f'Dir::Cache "{self._folder}";\n'
            f'Dir::Etc::sourcelist "{self._folder}/sources.list";\n'
            + "".join(
                f'Dir::Etc::{name} "/dev/null";\n'
                for name in ("sourceparts", "main", "parts", "preferences", "preferencesparts")
            ),
            encoding="utf-8",
        )

    def names(self, pattern: str) -> list[str]:
        """All package names that match the regular expression from end to end."""
        listing = _output(["apt-cache", "pkgnames"], self._env)
        return [name for name in listing.split() if re.fullmatch(pattern, name)]

    def depends(self, package: str) -> list[str]:
        """The names of the packages that `package` directly depends on."""
        listing = _output(["apt-cache", "depends", "--important", package], self._env)
        return re.findall(r"^\s+\|?(?:Pre)?Depends: (\S+)$", listing, re.MULTILINE)

    def missing(self, packages: Sequence[str], suite: str | None) -> list[str]:
        """Lists `packages` and their dependencies that the machine lacks, as name=version.

        `packages` themselves are always listed, installed or not. They come from
        `suite`, or else in their newest version.
        """
        command = ["apt-get", "-s", "install", "--reinstall", "--no-install-recommends"]
        target = ["-t", suite] if suite else []
        plan = _output([*command, *target, *packages], self._env)
        found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", plan, re.MULTILINE)
        return [f"{name}={version}" for name, version in found]

    def unpack(self, packages: Sequence[str], into: Path) -> None:
        """Downloads packages and unpacks their files below `into`."""
        download = self._folder / "download"
        _output(["apt-get", "download", "-qq", *packages], self._env, cwd=download)
        for archive in sorted(download.glob("*.deb")):
            _output(["dpkg-deb", "-x", str(archive), str(into)], self._env)
