"""Tables as text. The first column is aligned left, the others right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


def cell(value: Any) -> str:
    """Returns a value as text: an int in full, a float with about three significant digits, None as '-'."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


@dataclass
class Table:
    """Rows of values under column names. A row of only (name, text) spans the table, for example with a reason."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *values: Any) -> None:
        assert len(values) in (2, len(self.columns)), (values, self.columns)
        self.rows.append(values)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        texts = [[cell(value) for value in row] for row in self.rows]
        full = [list(self.columns), *(row for row in texts if len(row) == len(self.columns))]
        widths = [max(len(row[at]) for row in full) for at in range(len(self.columns))]
        widths[0] = max([widths[0], *(len(row[0]) for row in texts)])

        def line(row: Sequence[str]) -> str:
            if len(row) != len(self.columns):
                return f"  {row[0]:<{widths[0]}}  {row[1]}".rstrip()
            cells = [f"{row[0]:<{widths[0]}}", *(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:]))]
            return ("  " + "  ".join(cells)).rstrip()

        rule = "  " + "  ".join("-" * width for width in widths)
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([self.title, line(list(self.columns)), rule, *(line(row) for row in texts), *notes]) + "\n"
