"""Streams through a guest, and requests to the agent in it, for the levers that need a virtio-net device. Guests are as
in tests/vm: four vCPUs, four pairs, a device without guest offloads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from tests.bench.lib import latency, load, traffic
from tests.lib import protojson
from tests.lib.vm import NetworkFunction, Vm

# Packets are sent before and after the change that is measured, so that every gap has two ends.
LEAD_SECONDS = 0.7
TAIL_SECONDS = 0.7
_numbers = itertools.count(1)


def new_flows() -> str:
    """Returns a source network that the tap has not seen. The tap's receive steering keeps a flow on its pair for
    seconds (drivers/net/tun.c), and flows that are all on pair 0 would make shrinking look easy."""
    return f"198.18.{next(_numbers) % 250 + 1}.1"


def stream_while(
    vm: Vm, do: Callable[[], dict[str, Any]], *, changes: int, rate: float, flows: int, tap: int = 0
) -> traffic.Stream:
    """Measures a stream of new flows while `do` runs; the answer of `do` becomes the stream's detail."""
    options = ("--per-flow", "--timeline", str(latency.INTERVAL_MS))
    with vm.stream(*options, tap=tap, flows=flows, rate=rate, src_ip=new_flows()) as stream:
        time.sleep(LEAD_SECONDS)
        detail = do()
        time.sleep(TAIL_SECONDS)
    return traffic.stream(protojson.numbers(stream.report), changes, **detail)


def offer(vm: Vm, rate: float, flows: int, say: Callable[[str], None]) -> load.Offer:
    """Returns the rate that the guest carries, at most `rate`, with the function as it is."""

    def trial(at: float) -> dict[str, Any]:
        with vm.stream(flows=flows, rate=at, src_ip=new_flows()) as stream:
            time.sleep(2 * load.TRIAL_SECONDS)
        return protojson.numbers(stream.report)

    return load.sustained(rate, trial, say)


def resize(function: NetworkFunction, pairs: int) -> dict[str, Any]:
    """Runs `sluicectl queues set`; returns last_resize, or its output as `failed`."""
    done = function.resize(pairs)
    if done.rc != 0:
        return {"failed": done.out.strip()}
    return {"last_resize": function.status().get("last_resize", {})}


def describe(vm: Vm, function: NetworkFunction) -> str:
    queue = function.status()["ports"][0]["queues"][0]
    return f"kernel {vm.guest.release}, {queue['mode']} mode, {vm.guest.accel}"
