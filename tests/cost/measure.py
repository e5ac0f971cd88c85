#!/usr/bin/python3 -B
"""Instructions a packet of the userspace path: packet_cost under callgrind, against the stored figures.

    tests/cost/measure.py              prints each figure, the stored one, and the functions with the most instructions
    tests/cost/measure.py --store      stores the figures in figures.json, for this compiler

Takes the build that SLUICE_BUILD names, else build/release, since figures are of the programs that users run. A figure
is the number of instructions a frame of Lane::Poll and everything it calls. It leaves out the system calls by which the
kernel sends (packet_cost takes the frames instead), and sleeping and waking. It does not depend on clocks or caches, so
it is the same on a busy machine, and it says nothing about time. Another compiler makes other code, so each major
version has its own figures.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).resolve().parent
STORED = FOLDER / "figures.json"
RECORDING = FOLDER / "frames.pcap"
STORE = "SLUICE_BUILD=build/release tests/cost/measure.py --store"
# Allowed difference in either direction, as a part of the stored figure.
TOLERANCE = 0.03
# packet_cost's own functions, which stand for the kernel.
_NOT_COUNTED = re.compile(r"sluice::(cost::|FakeRing<)")

# Workload -> packet_cost's options for it.
WORKLOADS = {
    f"{function}, {lanes} lane{'s' if lanes > 1 else ''}, {bursts}":
        ("--function", function, "--lanes", lanes, "--burst", burst)
    for function in ("reflect", "forward") for burst, bursts in ((64, "full bursts"), (1, "single frames"))
    for lanes in (1, 16)
} | {"reflect, 1 of 16 lanes busy, full bursts": ("--function", "reflect", "--lanes", 16, "--busy-lanes", 1)}


@dataclass
class Cost:
    compiler: str
    frames: int
    functions: dict[str, float]  # instructions a frame by function, the most expensive first

    @property
    def instructions(self):
        """Returns the instructions of a frame."""
        return sum(self.functions.values())

    def describe(self, most=12):
        rows = list(self.functions.items())[:most]
        return "\n".join(f"  {cost:8.2f}  {name}" for name, cost in rows)


def program():
    build = pathlib.Path(os.environ.get("SLUICE_BUILD", FOLDER.parents[1] / "build/release"))
    path = build / "tests/cost/packet_cost"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: cmake --build --preset release --target packet_cost")
    return path


def by_function(profile):
    """Returns each function's own instructions in callgrind's output ("Callgrind Format Specification" in its manual).
    """
    names, costs = {}, {}
    function, inclusive = "", False
    for line in profile.splitlines():
        if line.startswith("fn="):
            number, name = re.fullmatch(r"fn=\((\d+)\)(?: (.*))?", line).groups()
            function = names.setdefault(number, name)
        elif named := re.fullmatch(r"cfn=\((\d+)\) (.*)", line):
            names[named[1]] = named[2]
        elif line.startswith("calls="):
            inclusive = True  # the next line has the cost of the call
        elif re.match(r"[+\-*\d]", line):
            if not inclusive:
                costs[function] = costs.get(function, 0) + int(line.split()[1])
            inclusive = False
    return costs


def measure(name):
    """Measures the Cost of a workload."""
    return count(*WORKLOADS[name])


def count(*options):
    """Measures the Cost of packet_cost with these options."""
    with tempfile.TemporaryDirectory(prefix="sluice-cost-") as folder:
        profile = pathlib.Path(folder) / "profile"
        words = ["valgrind", "--quiet", "--tool=callgrind", "--toggle-collect=*CountedRound*",
                 f"--callgrind-out-file={profile}", program(), "--frames", RECORDING, *map(str, options)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"packet_cost under callgrind ended with {done.returncode}: {done.stdout}{done.stderr}")
        said = json.loads(done.stdout)
        costs = by_function(profile.read_text(encoding="utf-8"))
    counted = {function: count / said["frames"]
               for function, count in sorted(costs.items(), key=lambda item: -item[1])
               if not _NOT_COUNTED.match(function)}
    return Cost(f"{said['compiler']} {platform.machine()}", said["frames"], counted)


def stored():
    """Returns the stored figures: compiler -> workload -> instructions a frame."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def problem(name, figure, expected):
    """Returns the problem of a figure, or "" if it is within the tolerance."""
    ratio = figure / expected
    if abs(ratio - 1) <= TOLERANCE:
        return ""
    words = f"{name}: {figure:.2f} instructions a frame, {expected:.2f} are stored: {100 * (ratio - 1):+.1f} %"
    if ratio > 1:
        return f"{words}, worse than the {100 * TOLERANCE:.0f} % allowed. Make it cheaper; or, if the change is " \
               f"worth that price, store it: {STORE}"
    return f"{words}, better. Store it, so that it stays so: {STORE}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="store_true", help="store the figures, for this compiler")
    chosen = parser.parse_args()
    known, made = stored(), {}
    for name in WORKLOADS:
        cost = measure(name)
        before = known.get(cost.compiler, {}).get(name)
        made.setdefault(cost.compiler, {})[name] = round(cost.instructions, 2)
        print(f"{cost.instructions:8.2f}  {name} ({cost.compiler}, stored: {before})\n{cost.describe()}\n")
    if chosen.store:
        STORED.write_text(json.dumps(dict(sorted((known | made).items())), indent=1) + "\n", encoding="utf-8")
        print(f"stored in {STORED}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
