"""Runs flowgen and reads its report.

    report = flowgen.run(programs, tx=(gen, "a0"), dst_mac=dut.mac("wan"), flows=8, rate=4000, duration=2)
    assert report["exact"]
"""

import json

from tests.lib import command, protojson
from tests.lib.command import PATIENCE


def _arguments(programs, tx, rx, nice, core, options):
    argv = ["nice", "-n", nice, *([] if core is None else ["taskset", "-c", core])]
    argv += [programs.flowgen, "--output", "json", "--netns", tx[0].name, "--tx", tx[1]]
    if rx is not None:
        argv += ["--rx-netns", rx[0].name, "--rx", rx[1]]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            argv.append(flag)
        elif value is not None and value is not False:
            argv += [flag, value]
    return argv


def run(programs, tx, rx=None, nice=0, core=None, timeout=4 * PATIENCE, **options):
    """Runs flowgen to its end; returns its report. `tx` and `rx` are (Netns, interface); `options` are those of the
    command line, with '_' for '-'; `nice` is nice(1)'s; all threads run on `core`."""
    return protojson.loads(command.run(*_arguments(programs, tx, rx, nice, core, options), timeout=timeout).stdout)


class Background:
    """Sends until stop(), which returns the report, or until the end of its `with` block. A report about no packet
    shows nothing, so stop() lets the first one go: a loaded machine may take longer to start flowgen than a test takes
    to end it."""

    def __init__(self, programs, tx, rx=None, nice=0, core=None, **options):
        argv = _arguments(programs, tx, rx, nice, core, options)
        self.netns, self.netdev = tx
        self.before = self.netns.counters(self.netdev)["tx"]["packets"]
        self.process = tx[0].world.start(*argv)
        self.report = None

    def __enter__(self):
        return self

    def begun(self):
        """Waits for the first packet: for a test that needs it on its way before it goes on."""
        command.wait_until(
            lambda: not self.process.running() or self.netns.counters(self.netdev)["tx"]["packets"] > self.before,
            "the first packet",
        )
        return self

    def __exit__(self, *exception):
        if self.report is None and self.process.running():
            self._end()

    def stop(self):
        self.begun()
        return self._end()

    def _end(self):
        code = self.process.stop(2 * PATIENCE)
        output = self.process.output()
        if code != 0:
            raise command.CommandFailed(self.process.argv, code, output, "")
        self.report = protojson.loads(output)
        return self.report


def counts(report):
    """Returns (lost, reordered, duplicated, corrupted) of all directions together, for a comparison with EXACT."""
    total = report["total"]
    return total["lost"], total["reordered"], total["duplicated"], total["corrupted"]


EXACT = (0, 0, 0, 0)


def words(report):
    """Returns the report in one line, for an assertion's message: pytest shortens anything but text."""
    return json.dumps(report)
