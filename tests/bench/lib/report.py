"""Report of a bench: its tables on the terminal, and all its measurements as JSON."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.lib.table import Table
from tests.lib.build import REPOSITORY, folder


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True)
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Returns processor, kernel, commit and build, without which the figures say nothing."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "commit": _git("rev-parse", "--short=12", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
        "build": str(folder()),
    }


class Report:
    """One run of one bench. `say` is for progress, on stderr; tables go to stdout as soon as they are known."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.tables: list[Table] = []
        self.measured: dict[str, Any] = {}
        self.failures: dict[str, str] = {}
        self.machine = machine()
        self.load_before = os.getloadavg()

    def header(self) -> str:
        m = self.machine
        return (f"{self.name}, {self.started:%Y-%m-%d %H:%M} UTC, commit {m['commit']}, build {m['build']}\n"
                f"{m['cores']} x {m['processor']}, kernel {m['kernel']}, load {self.load_before[0]:.2f}\n"
                f"{shlex.join(sys.argv)}\n")

    def say(self, text: str) -> None:
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def attempt(self, what: str, measure: Callable[[], None]) -> None:
        """Measures a part. If it fails, the other parts' figures remain."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001: any failure is printed, and the bench ends with 1
            self.failures[what] = "".join(traceback.format_exception(error))
            self.say(f"{what} failed:\n{self.failures[what]}")

    def table(self, table: Table) -> None:
        self.tables.append(table)
        print(table.render(), flush=True)

    def keep(self, key: str, value: Any) -> None:
        """Adds raw measurements to the JSON."""
        self.measured[key] = value

    def file(self, ending: str) -> Path:
        """Returns the path of a file of this run in build/bench."""
        return REPOSITORY / "build/bench" / f"{self.name}-{self.started:%Y%m%d-%H%M%S}{ending}"

    def write(self, path: Path | None) -> Path:
        """Writes the JSON to `path`, or to a new file in build/bench; returns its path."""
        path = path or self.file(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "bench": self.name,
            "started": self.started.isoformat(),
            "command": sys.argv,
            "machine": self.machine,
            "load": {"before": self.load_before, "after": os.getloadavg()},
            "tables": [table.as_json() for table in self.tables],
            "failures": self.failures,
            "measured": self.measured,
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path
