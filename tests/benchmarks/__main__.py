"""``python -m tests.benchmarks``: prints what was measured here, as ratios of one run; nothing is asserted."""

from __future__ import annotations

import platform
import sys

from tests.benchmarks import drag, start

BENCHMARKS = {"start": start.measure, "drag": drag.measure}
"""Every benchmark by name; a new one is a module and a row."""


def main(names: list[str]) -> None:
    """Run those named, or all."""
    print(f"{platform.platform()}, {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name, measure in BENCHMARKS.items():
        if not names or name in names:
            print(f"\n{name}: {measure.__module__}")
            for line in measure():
                print(f"  {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
