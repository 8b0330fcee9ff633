"""Print how much of each room the tests reach: ``python .ci/coverage_by_room.py .tox/coverage.json [FLOOR]``.

Modules below 80 % follow. The exit status is 1 where the total is under the floor, in percent.
"""

import json
import sys
from collections import Counter
from pathlib import Path

PACKAGE = "napari_scribseg"
LOW = 80  # percent


def percent(reached: int, lines: int) -> float:
    """Share of the lines; 100 where there are none."""
    return 100 * reached / lines if lines else 100.0


def main(report: str, floor: str = "0") -> int:
    """Print both tables; 1 if the floor is not reached."""
    lines, reached = Counter(), Counter()  # by room
    low = []
    for name, file in json.loads(Path(report).read_text(encoding="utf-8"))["files"].items():
        module = Path(name).parts
        module = module[len(module) - module[::-1].index(PACKAGE) :]
        counts = file["summary"]
        lines[module[0]] += counts["num_statements"]
        reached[module[0]] += counts["covered_lines"]
        share = percent(counts["covered_lines"], counts["num_statements"])
        if share < LOW:
            low.append((share, counts["num_statements"], "/".join(module)))
    print(f"{'room':20} {'lines':>7} {'reached':>8}     %")
    for room in sorted(lines):
        print(f"{room:20} {lines[room]:7} {reached[room]:8} {percent(reached[room], lines[room]):5.1f}")
    total = percent(reached.total(), lines.total())
    print(f"{'all':20} {lines.total():7} {reached.total():8} {total:5.1f}")
    print(f"\nmodules below {LOW} %:" if low else f"\nno module is below {LOW} %")
    for share, n_lines, module in sorted(low):
        print(f"{share:5.1f} % of {n_lines:4} lines  {module}")
    print(f"\n{total:.1f} % reached, at least {floor} % expected")
    return int(total < float(floor))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
