"""Adds up JUnit reports: `python3 tests/lib/tally.py FOLDER` prints the skipped and the failed tests and, as its
last line, 'N passed, N failed, N skipped'. The exit code is 1 if a test failed or none passed."""

import pathlib
import sys
import xml.etree.ElementTree as xml


def outcome(case):
    """Returns ('passed' | 'failed' | 'skipped', reason)."""
    if case.get("status") == "notrun" or case.get("status") == "disabled":
        return "skipped", "disabled"
    for tag, what in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            lines = [line.strip() for line in (found.get("message") or found.text or "").splitlines()]
            lines = [line for line in lines if line and line != "AssertionError:"]
            return what, lines[0] if lines else ""
    return "passed", ""


def skip_reason(case, reason):
    """Returns the reason of a skipped test. GoogleTest prints it after a line with the place of GTEST_SKIP()."""
    lines = (case.findtext("system-out") or "").splitlines()
    for line, following in zip(lines, lines[1:]):
        if line.rstrip().endswith("Skipped") and following.strip():
            return following.strip()
    return reason


def main(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    listed = {"failed": [], "skipped": []}
    for report in sorted(pathlib.Path(folder).glob("*.xml")):
        for case in xml.parse(report).iter("testcase"):
            what, reason = outcome(case)
            counts[what] += 1
            if what != "passed":
                reason = skip_reason(case, reason) if what == "skipped" else reason
                name = case.get("name")
                if not name.startswith(case.get("classname", "")):
                    name = f"{case.get('classname')}.{name}"
                listed[what].append(f"  {report.stem}: {name}: {reason}")
    for what in ("skipped", "failed"):
        if listed[what]:
            print(f"{what}:", *listed[what], sep="\n")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
