"""What the import costs, against the import of polars alone; one JSON object a line.

CPU time of subprocesses, A and B in turn within one run, medians. Run with ``--quick`` for few.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from statistics import median

FIGURES = {
    "import_ratio": "import scalekit",
    "project_import_ratio": "from scalekit import Project",
}
AGAINST = "import polars"


def cpu_seconds(code: str) -> float:
    """Return the user and system time of one fresh interpreter that runs *code*."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    runs = 5 if "--quick" in sys.argv[1:] else 31
    codes = (*FIGURES.values(), AGAINST)
    for code in codes:
        cpu_seconds(code)  # byte code and file cache warm
    times: dict[str, list[float]] = {code: [] for code in codes}
    for _ in range(runs):
        for code in codes:
            times[code].append(cpu_seconds(code))
    for figure, code in FIGURES.items():
        value = round(median(times[code]) / median(times[AGAINST]), 3)
        line = {"figure": figure, "value": value, "unit": f"x {AGAINST}", "against": AGAINST}
        print(json.dumps({**line, "n": runs}))


if __name__ == "__main__":
    main()
