"""Completion in bash itself, and the help texts from which it is made."""

import os
import re
import shlex

import pytest

from tests.lib.build import REPOSITORY
from tests.lib.command import run

SCRIPT = REPOSITORY / "control/cli/sluicectl.bash-completion"
# Typed words, of which the last may be incomplete, and the completions that bash must offer. bash takes --output=json
# for three words.
WORDS = [
    (["q"], {"queues"}),
    (["queues", "s"], {"set"}),
    (["queues", "set", "4", "--m"], {"--method"}),
    (["queues", "set", "4", "--method", ""], {"cores", "spread", "channels"}),
    (["queues", "set", "4", "--method", "c"], {"cores", "channels"}),
    (["queues", "set", "--dry-run", "--method", "sp"], {"spread"}),
    (["status", "-o", ""], {"table", "json"}),
    (["-o", "j"], {"json"}),
    (["-o", "json", "stat"], {"status", "stats"}),
    (["-o", "json", "--socket", "/tmp/x", "queues", "s"], {"set"}),
    (["status", "--output", "=", "t"], {"table"}),
    (["status", "--output", "="], {"table", "json"}),
    (["queues", "set", "4", "--timeout", ""], set()),
    (["queues", "set", "4", "--dry-run", ""], set()),
    (["stats", "--watch", "5s", "--o"], {"--output"}),
    (["stats", "--watch", "--o"], {"--output"}),
    (["nothing", "of", "ours", "-o", ""], {"table", "json"}),
    (["xyz"], set()),
]


@pytest.fixture
def complete(programs, tmp_path):
    """Returns a function for the completions that bash offers for the last of some words, in an empty folder."""

    def offered(*words):
        path = f"PATH={programs.ctl.parent}:{os.environ['PATH']}"
        done = run("env", path, "bash", "--norc", "-uc",
                   f"source {shlex.quote(str(SCRIPT))}; cd {shlex.quote(str(tmp_path))};"
                   f"COMP_WORDS=(sluicectl {shlex.join(words)}); COMP_CWORD={len(words)};"
                   '_sluicectl; printf "%s\\n" "${COMPREPLY[@]}"')
        assert not done.stderr, done.stderr
        return set(done.stdout.split())

    return offered


def section(programs, command, title):
    """Returns the first words of the lines below a title of a command's --help."""
    text = run(programs.ctl, *command, "--help").stdout
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.MULTILINE)
    return [line.split()[0] for line in found[1].splitlines() if line[2] != " "] if found else []


def all_commands(programs, above=()):
    for verb in section(programs, above, "Subcommands"):
        yield (*above, verb)
        yield from all_commands(programs, (*above, verb))


def test_every_command_and_option(programs, complete):
    commands = list(all_commands(programs))
    assert {("status",), ("queues",), ("queues", "set"), ("workers", "set"), ("config", "check")} <= set(commands)
    for command in [(), *commands]:
        below = {other[-1] for other in commands if other[:-1] == command}
        assert below <= complete(*command, ""), command
        options = {name for names in section(programs, command, "Options") for name in names.split(",")}
        assert {"-h", "--help", "-o", "--output", "--socket"} <= options
        assert complete(*command, "-") == options, command


def test_words(complete):
    for words, offered in WORDS:
        assert complete(*words) == offered, words


def test_files(complete, tmp_path):
    (tmp_path / "sluice.toml").touch()
    (tmp_path / "status").mkdir()
    assert complete("config", "check", "sl") == {"sluice.toml"}
    assert complete("doctor", "--config", "") == {"sluice.toml", "status"}
    assert complete("--socket", "s") == {"sluice.toml", "status"}
    assert complete("stat") == {"status", "stats"}, "a folder with a command's name was offered"


def test_bash_knows_whom_to_ask():
    assert "_sluicectl sluicectl" in run("bash", "--norc", "-c", f"source {SCRIPT}; complete -p sluicectl").stdout


def test_help_has_examples_that_fit_a_terminal(programs):
    for command in [(), *all_commands(programs)]:
        text = run(programs.ctl, *command, "--help").stdout
        examples = re.search(r"^Examples:\n((?:  sluicectl .*\n?)+)", text, re.MULTILINE)
        assert examples, f"sluicectl {' '.join(command)} --help has no examples: control/cli/help.cc"
        lines = examples[1].splitlines()
        assert any(line.split()[1:len(command) + 1] == list(command) for line in lines), lines
        assert max(map(len, lines)) <= 80, lines
