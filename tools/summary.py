"""Adds up the reports of several test runs and prints one closing line."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def main(reports: list[str]) -> int:
    """Fail if a test failed, or if none ran."""
    ran = failed = skipped = 0
    for report in reports:
        if not Path(report).exists():
            continue
        for suite in ET.parse(report).getroot().iter("testsuite"):
            ran += int(suite.get("tests", "0"))
            failed += int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            skipped += int(suite.get("skipped", "0"))
    print(f"{ran - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or ran == skipped else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
