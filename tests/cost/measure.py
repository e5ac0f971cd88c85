#!/usr/bin/python3 -B
"""Instructions a packet of the userspace path: packet_cost under callgrind, against the stored figures.

    tests/cost/measure.py              measures, prints each figure beside the stored one and where it goes
    tests/cost/measure.py --store      stores what it measures in figures.json, for this compiler

Takes the build that SLUICE_BUILD names, else build/release: figures are of what users run. A figure counts the
instructions of Lane::Poll and all it calls, a frame; not counted are the system calls that a lane makes to have the
kernel send (packet_cost takes the frames instead), nor sleeping and waking. It has no clock and no cache in it, so it
is the same on a busy machine; it says nothing about time. Another compiler makes other code, so each major version
has figures of its own.
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
# Either way, of the stored figure.
TOLERANCE = 0.03
# packet_cost's own: what stands for the kernel.
_NOT_COUNTED = re.compile(r"sluice::(cost::|FakeRing<)")

# What is measured, and packet_cost's options for it.
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
    functions: dict[str, float]  # instructions a frame by function, dearest first

    @property
    def instructions(self):
        """A frame."""
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
    """Function -> instructions of its own in callgrind's output (its manual, "Callgrind Format Specification")."""
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
    """A workload's Cost."""
    return count(*WORKLOADS[name])


def count(*options):
    """The Cost of what packet_cost does with these options."""
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
    """Compiler -> workload -> instructions a frame."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def problem(name, figure, expected):
    """What is wrong with a figure; nothing when it is within the tolerance."""
    ratio = figure / expected
    if abs(ratio - 1) <= TOLERANCE:
        return ""
    words = f"{name}: {figure:.2f} instructions a frame, {expected:.2f} are stored: {100 * (ratio - 1):+.1f} %"
    if ratio > 1:
        return f"{words}, worse than the {100 * TOLERANCE:.0f} % allowed. Make it cheaper; or, where that is the " \
               f"price of something wanted, store it: {STORE}"
    return f"{words}, better. Store it, so that it stays so: {STORE}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="store_true", help="store what is measured, for this compiler")
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
