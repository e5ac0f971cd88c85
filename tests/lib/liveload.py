"""Runs liveload (tests/bench/load) and reads its report.

    report = liveload.run(programs, tx=(gen, "a0"), dst_mac=dut.mac("wan0"), flows=256, size=64, cpu=0, duration=1)
    pps = report["window"]["received"] / report["seconds"]
"""

import json

from tests.lib import command
from tests.lib.command import PATIENCE


def arguments(programs, tx, rx=None, **options):
    """Returns the command line. `tx` and `rx` are (Netns, interface); `options` are its options, with '_' for '-'."""
    argv = [programs.liveload, "--netns", tx[0].name, "--tx", tx[1]]
    if rx is not None:
        argv += ["--rx-netns", rx[0].name, "--rx", rx[1]]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            argv.append(flag)
        elif value is not None and value is not False:
            argv += [flag, value]
    return argv


def run(programs, tx, rx=None, timeout=PATIENCE, **options):
    return json.loads(command.run(*arguments(programs, tx, rx, **options), timeout=timeout).stdout)


class Background:
    """Sends until stop(), which returns the report, or until the end of its `with` block."""

    def __init__(self, programs, tx, rx=None, **options):
        self.process = tx[0].world.start(*arguments(programs, tx, rx, **options))
        self.report = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.report is None and self.process.running():
            self.stop()

    def stop(self):
        code = self.process.stop()
        output = self.process.output()
        if code != 0:
            raise command.CommandFailed(self.process.argv, code, output, "")
        # Before the report, libbpf may have warned on stderr that the clsact hook exists already.
        self.report = json.loads(output[output.index("{"):])
        return self.report
