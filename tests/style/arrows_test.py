"""Arrows between rooms: a folder of the product includes only from the rooms below it.

So readers find the place of a line by the things that it needs. `python3 -m tests.style.arrows_test` prints all arrows.
"""

import collections
import fnmatch
import re

from tests.style import sources

# From the bottom up. The reasons for this order:
#   dataplane  utilities of any process (base), memory and messages that agent and dataplane agree on (contract), packet
#              headers (net), the interface of network functions (function) and the functions themselves, sockets (io),
#              flows that XDP handles (offload), a lane of all these, the thread that polls lanes (worker), and the
#              process with its control thread.
#   control    messages (wire), calls to the kernel, the user's wishes (rules, config), reports about them (doctor,
#              metrics), files that outlive the agent (state), objects that the agent holds (port, dataplane, lanes),
#              changes to them (resize, apply), answers to sluicectl (serve), and the loop (agent).
FLOORS = {
    "dataplane": ("base", "contract", "net", "function", "functions", "io", "offload", "lane", "worker", "process"),
    "control": ("wire", "kernel", "rules", "config", "doctor", "metrics", "state", "port", "dataplane",
                "function", "lanes", "offload", "steering", "resize", "autoscale", "apply", "serve", "agent"),
    "bpf": ("",),
}
# Rooms outside of that order, each with the rooms that it may include from; no room may include from it. sluicectl
# needs the messages, and the rooms that work without an agent.
APART = {"control/cli": ("control/wire", "control/kernel", "control/rules", "control/config", "control/doctor")}
# The only parts of the dataplane that control may include: utilities, the contract, headers, and the functions'
# descriptors with the values of their settings.
SHARED = ("dataplane/base/*", "dataplane/contract/*", "dataplane/net/*", "dataplane/function/descriptor.h",
          "dataplane/function/settings.h", "dataplane/functions/catalog.h", "dataplane/functions/*/descriptor.h")

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def room(name):
    """Returns the room of a file or an include, like "control/kernel" or "bpf", or None outside the product. Each
    network function has a room of its own, "dataplane/functions/NAME", since none may include from another."""
    parts = name.split("/")
    if parts[0] not in FLOORS:
        return None
    if FLOORS[parts[0]] == ("",):
        return parts[0]
    return "/".join(parts[:3 if parts[1] == "functions" and len(parts) > 3 else 2])


def floor(place):
    """Returns a room's place in FLOORS; raises LookupError if it has none."""
    house, name, *_ = place.split("/")
    if name not in FLOORS[house]:
        raise LookupError(f"{place} has no floor: FLOORS in {sources.name(sources.REPOSITORY / 'tests/style')}"
                          "/arrows_test.py")
    return FLOORS[house].index(name)


def includes():
    """Yields (file, line, included name) of every include in the product."""
    for path in sources.with_suffix(".h", ".cc", ".c"):
        if room(sources.name(path)) is not None:
            text = path.read_text(encoding="utf-8")
            for found in _INCLUDE.finditer(text):
                yield sources.name(path), text.count("\n", 0, found.start()) + 1, found[1]


def wrong(file, included):
    """Returns the reason why the file must not include that header, or "" if it may."""
    source, target = room(file), room(included)
    if source == target:
        return ""
    if source == "bpf":
        return "bpf knows nothing outside of itself"
    if included.startswith("tests/"):
        return "" if file.endswith("_test.cc") else "only a test may include from tests"
    if target in (None, "bpf"):
        return ""  # a library's header, or the maps' layout, which every room may include
    if source in APART and target.startswith("control/"):
        return "" if target in APART[source] else f"{source} may only know of {', '.join(APART[source])}"
    if source.split("/")[0] == target.split("/")[0]:
        return "" if target not in APART and floor(target) < floor(source) else f"{target} is not below {source}"
    if source.startswith("dataplane/"):
        return "the dataplane knows nothing of control"
    return "" if any(fnmatch.fnmatchcase(included, name) for name in SHARED) else \
        f"of the dataplane control may only know {', '.join(SHARED)}"


def arrows():
    """Counts the includes by (room, included room)."""
    return collections.Counter((room(file), room(included)) for file, _, included in includes()
                               if room(included) not in (None, room(file)))


def test_no_arrow_runs_up():
    problems = []
    for file, line, included in includes():
        if why := wrong(file, included):
            problems.append(f"{file}:{line}: includes {included}: {why}")
    assert not problems, "\n" + "\n".join(problems)


def test_every_room_has_a_floor():
    rooms = {room(sources.name(path)) for path in sources.with_suffix(".h", ".cc", ".c")} - {None, *APART}
    assert rooms, "no file of the product was found"
    for place in sorted(rooms):
        floor(place if "/" in place else f"{place}/")


def test_wrong_arrows_are_seen():
    """Tests the rule itself, by arrows that are allowed and others that are not."""
    for file, included in (
            ("dataplane/lane/lane.h", "dataplane/worker/worker.h"),
            ("dataplane/base/mapping.h", "dataplane/contract/umem_layout.h"),
            ("dataplane/process/main.cc", "control/wire/framing.h"),
            ("control/port/port.cc", "control/agent/agent.h"),
            ("control/kernel/links.cc", "control/cli/table.h"),
            ("control/cli/main.cc", "control/agent/agent.h"),
            ("control/agent/main.cc", "dataplane/lane/lane.h"),
            ("control/agent/main.cc", "dataplane/functions/forward/forward.h"),
            ("control/agent/main.cc", "dataplane/function/burst.h"),
            ("dataplane/functions/forward/forward.cc", "dataplane/functions/count/source_table.h"),
            ("dataplane/functions/forward/forward.cc", "dataplane/functions/catalog.h"),
            ("dataplane/functions/catalog.cc", "dataplane/functions/count/descriptor.h"),
            ("dataplane/functions/count/count.cc", "dataplane/io/umem.h"),
            ("dataplane/functions/count/count.cc", "tests/lib/packet.h"),
            ("control/agent/main.cc", "tests/lib/temp_folder.h"),
            ("bpf/flows.h", "tests/lib/packet.h"),
            ("bpf/flows.h", "dataplane/net/headers.h")):
        assert wrong(file, included), (file, included)
    for file, included in (
            ("dataplane/worker/worker.h", "dataplane/lane/lane.h"),
            ("dataplane/lane/lane.h", "bpf/sluice_abi.h"),
            ("control/agent/main.cc", "control/wire/framing.h"),
            ("control/agent/main.cc", "dataplane/contract/umem_layout.h"),
            ("control/config/keys.cc", "dataplane/functions/catalog.h"),
            ("control/config/keys.cc", "dataplane/functions/forward/descriptor.h"),
            ("control/cli/main.cc", "control/doctor/doctor.h"),
            ("dataplane/functions/count/count.cc", "dataplane/functions/count/source_table.h"),
            ("dataplane/functions/count/count.cc", "dataplane/function/network_function.h"),
            ("dataplane/functions/count/count_test.cc", "tests/lib/packet.h"),
            ("dataplane/process/dataplane.cc", "dataplane/functions/function_factory.h"),
            ("bpf/flows.h", "bpf/maps.h")):
        assert not wrong(file, included), (file, included)


def draw():
    """Prints all arrows, by the room at which they begin."""
    found = arrows()
    for source in sorted({source for source, _ in found}):
        targets = (f"{target} ({count})" for (begin, target), count in sorted(found.items()) if begin == source)
        print(f"{source} -> {', '.join(targets)}")
    print(f"{len(found)} arrows between {len({place for arrow in found for place in arrow})} rooms")


if __name__ == "__main__":
    draw()
