"""Measure what annotating takes of the memory: ``python benchmarks/memory.py [--out FILE] [--slices N]``.

A CT of 512 x 512 x 600 voxels of int16 in the memory, and a dask volume of 20 GB that is made when it is read; both are
annotated with svcd, a stroke for each of two classes on every slice. Each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_scribseg import Session
from napari_scribseg.core import Source
from napari_scribseg.numerics.warm import warm_up

MIB = 1 << 20


def resident() -> int:
    """Bytes of memory that this process has in use now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def peak() -> int:
    """Most bytes of memory that this process ever had in use."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not report the peak of the memory")


def ct() -> np.ndarray:
    """Slices of 512 x 512 voxels: a bright disc that moves, and noise."""
    rows, columns = np.mgrid[:512, :512]
    noise = np.random.default_rng(0).integers(-20, 20, (512, 512), dtype=np.int16)
    volume = np.empty((600, 512, 512), np.int16)
    for z in range(600):
        disc = (rows - 256) ** 2 + (columns - 200 - z // 6) ** 2 < 90**2
        volume[z] = np.where(disc, 120, -80) + np.roll(noise, z, 0)
    return volume


def strokes(z: int) -> np.ndarray:
    """A stroke of 1 in the disc and one of 2 outside."""
    painted = np.zeros((512, 512), np.uint8)
    painted[240:272, 200 + z // 6] = 1
    painted[40, 40:470] = 2
    return painted


def annotate(session: Session, n_slices: int) -> None:
    """Draw on slices spread over the volume."""
    for z in np.linspace(0, session.volume.shape[0] - 1, n_slices).astype(int):
        session.draw(strokes(int(z)), int(z)).result()


def in_memory(n_slices: int) -> dict[str, float]:
    """MiB that annotating the CT adds."""
    annotate(Session(Source.from_array(ct()[:4])), 4)
    volume = ct()
    before = resident()
    session = Session(Source.from_array(volume))
    annotate(session, n_slices)
    return {"added": (resident() - before) / MIB, "one uint8 copy": volume.size / MIB}


def from_dask(n_slices: int) -> dict[str, float]:
    """Peak MiB of a process that annotates a volume of 20 GB."""
    import dask.array as da

    def make(block_id: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng(block_id[0]).normal(0, 50, (1, 2048, 2048)).astype(np.float32)

    slices = 20 * 10**9 // (2048 * 2048 * 4)
    volume = da.map_blocks(make, chunks=((1,) * slices, (2048,), (2048,)), dtype=np.float32)
    session = Session(Source.from_array(volume))
    for z in np.linspace(0, slices - 1, n_slices).astype(int):
        painted = np.zeros((2048, 2048), np.uint8)
        painted[500, 300:1700], painted[1500, 300:1700] = 1, 2
        session.draw(painted, int(z)).result()
    return {"volume": volume.nbytes / MIB, "peak of the process": peak() / MIB}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides the terminal")
    parser.add_argument("--slices", type=int, default=600, help="slices of the CT to annotate")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = {
        f"512 x 512 x 600 int16, {arguments.slices} slices annotated": lambda: in_memory(arguments.slices),
        "512 x 512 x 600 int16, 60 slices annotated": lambda: in_memory(60),
        "dask volume of 20 GB, 10 slices of 2048 x 2048 annotated": lambda: from_dask(10),
    }
    if arguments.case:
        warm_up()
        print(json.dumps(cases[arguments.case]()))
        return
    lines = ["| case | MiB |", "|---|---|"]
    for case in cases:
        command = [sys.executable, __file__, "--case", case, "--slices", str(arguments.slices)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines += [f"| {case}: {name} | {value:.0f} |" for name, value in found.items()]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
