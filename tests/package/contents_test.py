"""Contents of the package: its files, lintian's opinion, the units' confinement, and manuals with every option."""

import re

import pytest

from tests.lib.command import run

UNITS = ("sluice-agent", "sluice-dataplane")
WANTED = """
usr/bin/sluicectl
usr/sbin/sluice-agent
usr/sbin/sluice-dataplane
usr/lib/sluice/sluice_steer.bpf.o
usr/lib/sluice/sluice_bridge.bpf.o
usr/lib/sluice/sluice_bridge_rx.bpf.o
usr/lib/sluice/sluice_to_kernel.bpf.o
usr/lib/systemd/system/sluice-agent.service
usr/lib/systemd/system/sluice-dataplane.service
usr/lib/sysusers.d/sluice.conf
usr/share/bash-completion/completions/sluicectl
usr/share/doc/sluice/copyright
usr/share/doc/sluice/changelog.gz
usr/share/doc/sluice/examples/sluice.toml
usr/share/man/man1/sluicectl.1.gz
usr/share/man/man5/sluice.toml.5.gz
usr/share/man/man8/sluice-agent.8.gz
usr/share/man/man8/sluice-dataplane.8.gz
""".split()


def test_everything_is_in_it(unpacked):
    assert not [name for name in WANTED if not (unpacked / name).is_file()]


def test_lintian_is_content(package):
    """deploy/package/lintian-overrides has the exceptions, each with its reason."""
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", "--no-cfg", package, check=False, timeout=300)
    assert said.returncode == 0, said.stdout + said.stderr


def test_same_build_same_package(package, make_package):
    before = package.read_bytes()
    assert make_package().read_bytes() == before


def test_example_is_valid(unpacked):
    run(unpacked / "usr/bin/sluicectl", "config", "check", unpacked / "usr/share/doc/sluice/examples/sluice.toml")


# The exposure that systemd gives each unit, times ten. The agent's unit has the reasons for its privileges.
@pytest.mark.parametrize("unit, most", [("sluice-dataplane", 5), ("sluice-agent", 30)])
def test_exposure(unpacked, unit, most):
    path = unpacked / f"usr/lib/systemd/system/{unit}.service"
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", path, check=False)
    print(said.stdout.splitlines()[-1])
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_capability_of_the_agent_has_its_reason(unpacked):
    text = (unpacked / "usr/lib/systemd/system/sluice-agent.service").read_text()
    granted = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)[1].split()
    assert granted and granted == re.findall(r"^#   (CAP_\w+) {2,}\w", text, re.MULTILINE)


def test_neither_unit_ends_with_the_other(unpacked):
    for unit in UNITS:
        text = (unpacked / f"usr/lib/systemd/system/{unit}.service").read_text()
        assert not re.search(r"^(BindsTo|PartOf|Requires|PropagatesStopTo)=", text, re.MULTILINE)


def rendered(page):
    run("mandoc", "-T", "lint", "-W", "warning", page)
    return re.sub(r".\x08", "", run("mandoc", "-T", "utf8", page).stdout)


def commands(program, *path):
    """Yields each command path of a program, with its help text."""
    text = run(program, *path, "--help").stdout
    yield path, text
    _, _, listed = text.partition("\nSubcommands:\n")
    for name in re.findall(r"^  (\w\S*)", listed.partition("\n\n")[0], re.MULTILINE):
        yield from commands(program, *path, name)


@pytest.mark.parametrize("program, section", [("sluicectl", 1), ("sluice-agent", 8), ("sluice-dataplane", 8)])
def test_manual_tells_what_the_program_takes(unpacked, program, section):
    text = rendered(unpacked / f"usr/share/man/man{section}/{program}.{section}.gz")
    binary = unpacked / ("usr/bin" if section == 1 else "usr/sbin") / program
    # A function's commands, and their options, come from its descriptor; its README describes them.
    taken = {path: helped for path, helped in commands(binary) if path[:-1] != ("function",)}
    helps = [helped for path, helped in taken.items() if path != ("function",)]
    options = {option for helped in helps for option in re.findall(r"--[a-z][a-z-]*", helped)}
    described = set(re.findall(r"--[a-z][a-z-]*", text))
    assert described == options, f"only in the manual: {described - options}; only in --help: {options - described}"
    missing = [" ".join(path) for path in taken if not re.search(r"^ +" + r"\s".join(path), text, re.MULTILINE)]
    assert not missing, f"commands that the manual lacks: {missing}"
