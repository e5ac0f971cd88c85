"""Installing, upgrading, removing and purging in a separate Debian, whose files are compared before and after."""

import subprocess

import pytest

from tests.lib.appliance import PACKAGES
from tests.lib.command import run
from image import DebianRoot, base_archive, dependencies

# Records of dpkg and other tools, which the installation or removal of any package changes.
BOOKS = ("var/lib/dpkg/", "var/log/", "var/cache/ldconfig/")
USERS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")


@pytest.fixture
def debian(package, tmp_path):
    """Returns a fresh system with the package's dependencies."""
    archive = base_archive([*dependencies(package), *PACKAGES])
    root = DebianRoot(tmp_path / "root")
    root.folder.mkdir()
    run("tar", "-C", root.folder, "--numeric-owner", "-xf", archive)
    return root


def snapshot(root):
    """Returns every path but BOOKS, with its content if it is a file of /etc, and the users in sorted order."""
    found = {}
    for path in sorted(root.folder.rglob("*")):
        name = str(path.relative_to(root.folder))
        if name.startswith(BOOKS) or name.rstrip("-") in USERS or name.rstrip("-").startswith("etc/sub"):
            continue
        regular = path.is_file() and not path.is_symlink()
        found[name] = path.read_bytes() if regular and name.startswith("etc/") else path.is_dir()
    users = {name: sorted((root.folder / name).read_text().splitlines()) for name in USERS}
    return found | users


def test_install_upgrade_remove_install_purge(debian, package, newer_package):
    before = snapshot(debian)
    debian.install(package)
    assert debian.run("id", "-nG", "sluice-dataplane").stdout.split() == ["sluice-dataplane"]
    for group in ("sluice", "sluice-admin"):
        debian.run("getent", "group", group)
    assert debian.run("systemctl", "is-enabled", "sluice-agent").stdout.strip() == "enabled"
    assert debian.run("systemctl", "is-enabled", "sluice-dataplane").stdout.strip() == "static"
    assert not (debian.folder / "etc/sluice/sluice.toml").exists(), "the package must bring no configuration"
    installed = snapshot(debian)

    # An upgrade keeps the administrator's choices: configuration, disabled units, members of groups.
    debian.write("/etc/sluice/sluice.toml", "# mine\n")
    debian.run("systemctl", "disable", "sluice-agent")
    debian.run("useradd", "--no-create-home", "--groups", "sluice-admin", "somebody")
    debian.install(newer_package)
    assert debian.run("dpkg-query", "-W", "-f", "${Version}", "sluice").stdout == "999.0"
    assert (debian.folder / "etc/sluice/sluice.toml").read_text() == "# mine\n"
    assert debian.run("systemctl", "is-enabled", "sluice-agent", check=False).stdout.strip() == "disabled"
    assert "sluice-admin" in debian.run("id", "-nG", "somebody").stdout.split()
    debian.run("userdel", "somebody")

    # Removed, not purged: the configuration stays, and the next installation uses it.
    debian.run("dpkg", "--remove", "sluice")
    assert (debian.folder / "etc/sluice/sluice.toml").exists()
    assert not (debian.folder / "usr/sbin/sluice-agent").exists()
    debian.install(package)
    assert debian.run("systemctl", "is-enabled", "sluice-agent", check=False).stdout.strip() == "disabled"
    debian.run("systemctl", "enable", "sluice-agent")
    assert not installed.keys() - snapshot(debian).keys()

    debian.write("/var/lib/sluice/anything", "")
    debian.run("dpkg", "--purge", "sluice")
    assert snapshot(debian) == before


def test_a_configuration_that_is_there_before_the_package_is_kept(debian, package):
    debian.write("/etc/sluice/sluice.toml", "# mine\n")
    debian.install(package)
    assert (debian.folder / "etc/sluice/sluice.toml").read_text() == "# mine\n"


def test_purging_what_was_removed_without_its_helpers(debian, package):
    """dpkg may run `postrm purge` when the package's dependencies are no longer installed."""
    debian.install(package)
    debian.run("dpkg", "--remove", "sluice")
    (debian.folder / "usr/bin/deb-systemd-helper").unlink()
    debian.run("dpkg", "--purge", "sluice")
    assert debian.run("getent", "passwd", "sluice-dataplane", check=False).returncode == 2


def test_systemd_understands_every_line_of_the_units(debian, package):
    debian.install(package)
    said = debian.run("systemd-analyze", "verify", "--man=no", "sluice-agent.service", "sluice-dataplane.service")
    assert "sluice" not in said.stderr, said.stderr


def test_every_dependency_is_named(debian, package):
    """Programs start with only the package's dependencies installed."""
    debian.install(package)
    for program in ("/usr/bin/sluicectl", "/usr/sbin/sluice-agent", "/usr/sbin/sluice-dataplane"):
        debian.run(program, "--help")
        missing = subprocess.run(["chroot", debian.folder, "ldd", program], capture_output=True, text=True).stdout
        assert "not found" not in missing, missing
