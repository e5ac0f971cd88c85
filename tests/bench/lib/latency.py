"""The latency that packets see around a change, from the timelines of streams (flowgen --timeline). Pure functions.

Streams are laid over each other at their longest waits, since the time from a request to the window of a resize differs
from one to the next. Percentiles are flowgen's own, exact within an interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.lib import figures, plot
from tests.bench.lib.table import Table
from tests.bench.lib.traffic import LATENCY_PARTS, Interval, Stream

INTERVAL_MS = 10
AROUND_MS = 300  # shown before and after the longest wait
COLUMNS = ("way", "streams", "all: p50 ms", "p99", "max ", f"worst {INTERVAL_MS} ms: p50", "p99 ", "max",
           "longest wait ms", "longer than the window")


def worst(stream: Stream) -> Interval:
    """Returns the interval with the longest wait."""
    return max(stream.timeline, key=lambda interval: interval.max_ms)


def table(title: str, streams: Mapping[str, Sequence[Stream]]) -> Table:
    """`all` are medians of the streams' own percentiles, `worst` medians over each stream's worst interval. The last
    column counts the streams in which a packet waited longer than XDP was off."""
    out = Table(title, COLUMNS)
    for name, made in streams.items():
        known = _known(made)
        peaks = [worst(one) for one in known]
        windows = [one.detail.get("last_resize", {}).get("blocked_ns", 0) / 1e6 for one in known]
        longer = sum(peak.max_ms > window for peak, window in zip(peaks, windows, strict=True))
        out.add(name, len(known),
                *(figures.median(one.latency_ms[part] for one in known) for part in range(len(LATENCY_PARTS))),
                *(figures.median(peak[1 + part] for peak in peaks) for part in range(len(LATENCY_PARTS))),
                max((peak.max_ms for peak in peaks), default=None),
                f"{longer} of {len(known)}" if any(windows) else None)
    return out


def curves(name: str, streams: Iterable[Stream]) -> dict[str, list[plot.Point]]:
    """Returns a curve for each of p50, p99 and max: median and quartiles over the streams."""
    at: dict[int, list[Interval]] = {}
    for stream in _known(streams):
        middle = worst(stream).at_ms
        for interval in stream.timeline:
            if abs(interval.at_ms - middle) <= AROUND_MS:
                at.setdefault(round(interval.at_ms - middle), []).append(interval)
    return {
        f"{name}: {part}": [
            plot.Point(ms + AROUND_MS, figures.median(values) or 0, figures.quantile(values, 0.25),
                       figures.quantile(values, 0.75))
            for ms, values in sorted((ms, [interval[column] for interval in found]) for ms, found in at.items())]
        for column, part in enumerate(LATENCY_PARTS, start=1)}


def _known(streams: Iterable[Stream]) -> list[Stream]:
    return [one for one in streams if one.timeline and not one.failed]
