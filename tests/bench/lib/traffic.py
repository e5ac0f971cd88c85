"""Figures of one stream of flowgen, and of several. Pure functions of flowgen's report.

    lost       packets sent that never came back, without those that flowgen's own socket dropped
    own        packets that flowgen's own socket dropped (at most): the bench's fault, listed separately
    blocked    the longest gap that any flow saw beyond its own spacing, for any reason: the machine's own
               stalls are in it, so a control arm has the same column
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from tests.bench.lib import figures


LATENCY_PARTS = ("p50", "p99", "max")


class Interval(NamedTuple):
    """The latency of the packets that arrived in an interval of a stream."""

    at_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass
class Stream:
    """One run of flowgen, during which `changes` changes were made."""

    changes: int = 0
    seconds: float = 0.0
    offered_pps: float = 0.0
    sent: int = 0
    lost: int = 0
    own: int = 0
    reordered: int = 0
    duplicated: int = 0
    corrupted: int = 0
    blocked_ms: float = 0.0
    flow_gaps_ms: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)  # LATENCY_PARTS
    timeline: list[Interval] = field(default_factory=list)  # empty: not asked for
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """True if the change was not made. The packets say nothing about it then, so there is no figure."""
        return bool(self.detail.get("failed"))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _timeline(direction: dict[str, Any]) -> list[Interval]:
    return [Interval(row["at_ms"], *(row[f"latency_{part}_ns"] / 1e6 for part in LATENCY_PARTS))
            for row in direction.get("timeline", []) if row["received"]]


def stream(report: dict[str, Any], changes: int, **detail: Any) -> Stream:
    """Makes a Stream of flowgen's report (protojson.loads), which has one direction, and per-flow rows if asked for."""
    total = report["total"]
    direction = report["directions"][0]
    own = min(total["receiver_dropped"], total["lost"])
    return Stream(
        changes=changes,
        seconds=report["seconds"],
        offered_pps=direction["sent_pps"],
        sent=total["sent"],
        lost=total["lost"] - own,
        own=own,
        reordered=total["reordered"],
        duplicated=total["duplicated"],
        corrupted=total["corrupted"],
        blocked_ms=direction["longest_gap_ns"] / 1e6,
        latency_ms=[direction[f"latency_{part}_ns"] / 1e6 for part in LATENCY_PARTS],
        timeline=_timeline(direction),
        flow_gaps_ms=[round(flow["longest_gap_ns"] / 1e6, 3) for flow in direction.get("per_flow", [])],
        detail=detail,
    )


COLUMNS = ("offered pps", "streams", "changes", "sent", "lost", "own", "reordered", "duplicated")
BLOCKED = ("blocked ms p50", "p99", "max", "median flow", "effective ms")


def totals(streams: Iterable[Stream]) -> tuple[Any, ...]:
    """Returns the cells below COLUMNS."""
    known = [one for one in streams if not one.failed]
    sums = [sum(getattr(one, name) for one in known)
            for name in ("changes", "sent", "lost", "own", "reordered", "duplicated")]
    return (figures.median(one.offered_pps for one in known), len(known), *sums)


def blocked(streams: Iterable[Stream]) -> tuple[Any, ...]:
    """Returns the cells below BLOCKED: quantiles of the streams' longest gaps; the median flow's longest gap; lost /
    rate for each change."""
    known = [one for one in streams if not one.failed]
    gaps = [one.blocked_ms for one in known]
    rate = figures.median(one.offered_pps for one in known)
    effective = figures.effective_blocked_ms(sum(one.lost for one in known), rate or 0)
    changes = sum(one.changes for one in known)
    return (*(figures.quantile(gaps, part) for part in (0.5, 0.99, 1)),
            figures.median(gap for one in known for gap in one.flow_gaps_ms),
            None if effective is None or not changes else effective / changes)


def balance(status: dict[str, Any]) -> str:
    """Returns a note with the dataplane's balance, and the reason of each drop."""
    sums = status["balance"]
    reasons: dict[str, int] = {}
    for port in status["ports"]:
        for queue in (*port["queues"], port.get("bridge", {})):
            for reason, count in queue.get("drops", {}).items():
                reasons[reason] = reasons.get(reason, 0) + count
    why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()) if count)
    return (f"the dataplane's balance at the end: received {sums['received']:,}, dropped {sums['dropped']:,}"
            f"{f' ({why})' if why else ''}, held {sums['held']:,}, unaccounted {sums['unaccounted']:,}")
