"""Chooses the rate that a bench offers: the one asked for, or the highest tried below it that now comes back whole.

An overloaded device loses most packets, with changes or without, and a difference between two such arms says nothing.
So rates are tried before the rounds, and the table says which one was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TRIAL_SECONDS = 1.0
# A rate is sustained if at least this part of it is really sent, and at most this number of a million packets is lost.
_SENT_PART = 0.9
_LOST_PER_MILLION = 1000
_SLOWER = 0.75
_TRIALS = 8


@dataclass(frozen=True)
class Offer:
    asked: float
    rate: float
    sustained: bool

    def words(self) -> str:
        """Returns a note for the table."""
        if self.rate == self.asked:
            return f"offered rate: {self.rate:,.0f} pps, as asked for"
        how = "the highest sustained in the trials before" if self.sustained else "NOT sustained: no trial was clean"
        return f"offered rate: {self.rate:,.0f} pps of the {self.asked:,.0f} asked for, {how}"


def sustained(asked: float, trial: Callable[[float], dict[str, Any]], say: Callable[[str], None]) -> Offer:
    """Tries rates from `asked` downwards; `trial` sends at a rate and returns flowgen's report. A busy machine may not
    send at the rate asked for: then the rate that was really sent without loss counts."""
    rate, best = float(asked), 0.0
    for _ in range(_TRIALS):
        report = trial(rate)
        sent, lost = report["total"]["sent"], report["total"]["lost"]
        sent_pps = report["directions"][0]["sent_pps"]
        say(f"trial at {rate:,.0f} pps: sent at {sent_pps:,.0f}, lost {lost} of {sent}")
        if lost * 1e6 <= _LOST_PER_MILLION * sent:
            if sent_pps >= _SENT_PART * rate:
                return Offer(asked, max(rate, best), True)
            best = max(best, sent_pps)
        rate *= _SLOWER
    return Offer(asked, best, True) if best else Offer(asked, rate, False)
