"""How long the editing tools take on a label volume of 512 x 512 x 300.

    python benchmarks/editing.py [--repeat 3] [--tools grow,smooth] [--session] [--peers]

The volume is made here: a body with holes (class 1), an organ with islands and touching balls (class 2), and a thin
tube (class 3), with voxels of 1.5 x 0.8 x 0.8 mm. Each tool runs on the whole volume, in 3D.
With --session, growing is a step of a session: how long the owner's thread is taken for it, and for undo and redo.
With --peers, what the tools are made of is compared with connected-components-3d, fill-voids and edt, each installed by
its name.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import psutil

from napari_scribseg.annotate import Inbox, Session, Worker
from napari_scribseg.core import silent
from napari_scribseg.core.source import Source
from napari_scribseg.numerics.editing import (
    Combine,
    CopySlices,
    FillHoles,
    Grow,
    KeepLargest,
    RemoveSmall,
    Scope,
    Shrink,
    Smooth,
    Split,
    Threshold,
    edit_labels,
)
from napari_scribseg.numerics.editing.components import Parts, enclosed
from napari_scribseg.numerics.fused.windows import squared_distance

SHAPE, SPACING = (300, 512, 512), (1.5, 0.8, 0.8)


def make_volume() -> np.ndarray:
    """Labels of uint8: body 1, organ 2, tube 3."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]

    def ball(centre, radii):
        return sum(((v - c) / r) ** 2 for v, c, r in zip((z, y, x), centre, radii, strict=True)) < 1

    labels = ball((150, 256, 256), (160, 190, 235)).astype(np.uint8)
    labels[ball((150, 220, 180), (50, 70, 80)) | ball((150, 300, 250), (45, 60, 60))] = 2
    labels[ball((150, 256, 380), (140, 12, 12))] = 3
    for identity, host, n in ((0, 1, 4000), (2, 1, 2000), (2, 0, 200)):
        at = np.argwhere(labels[::3, ::3, ::3] == host)
        for point in 3 * at[rng.choice(len(at), n)]:
            labels[tuple(slice(v, v + k) for v, k in zip(point, rng.integers(1, 5, 3), strict=True))] = identity
    return labels


def main() -> None:
    """Run the tools, and print the median, the slowest and the quickest time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tools", default="")
    parser.add_argument("--session", action="store_true")
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    labels = make_volume()
    if options.session:
        in_a_session(labels)
        return
    if options.peers:
        against_peers(labels, options.repeat)
        return
    image = (labels * np.float32(50)) + np.random.default_rng(1).standard_normal(SHAPE, np.float32) * 10
    tools = [
        KeepLargest(), RemoveSmall(), FillHoles(), Grow(2.0), Grow(5.0), Shrink(2.0), Shrink(5.0),
        Smooth("median", 2.0), Smooth("gaussian", 1.5), Threshold(40, 60), Threshold(40, 60, "everywhere"),
        Combine("union", 3), Combine("subtract", 3, 5.0), Combine("intersect", 3, 20.0), Split(10.0), CopySlices(200),
    ]  # fmt: skip
    print(f"{'tool':<64}{'class':>6}{'median s':>10}{'all':>24}   load {psutil.getloadavg()[0]:.1f}")
    for tool in tools:
        if options.tools and tool.info.name not in options.tools.split(","):
            continue
        for identity in (1, 2):
            times = []
            for _ in range(options.repeat):
                start = time.perf_counter()
                scope = Scope(0, 50, 100) if tool.info.across else None
                edit_labels(labels, tool, identity, spacing=SPACING, image=image, scope=scope)
                times.append(time.perf_counter() - start)
            every = " ".join(f"{t:.2f}" for t in times)
            print(f"{tool!r:<64}{identity:>6}{np.median(times):>10.2f}{every:>24}", flush=True)


def in_a_session(labels: np.ndarray) -> None:
    """Print the seconds of a tool in a session, and those for which its owner's thread was taken at once."""
    inbox, worker, taken = Inbox(), Worker(), []

    def deliver(call):
        def timed():
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)

        inbox.deliver(timed)

    source = Source.from_array(np.zeros(SHAPE, np.uint8), spacing=SPACING)
    session = Session(source, labels=labels, executor=worker, deliver=deliver)
    for tool in (Grow(2.0), Smooth("median", 2.0)):
        start = time.perf_counter()
        future = session.apply(tool, 2, 0, SHAPE[0] - 1, over="all")
        requested = time.perf_counter() - start
        found = inbox.wait(future)
        total = time.perf_counter() - start
        steps = []
        for step in (session.undo, session.redo):
            start = time.perf_counter()
            step()
            steps.append(time.perf_counter() - start)
        print(
            f"{tool!r}: {len(found)} slices in {total:.2f} s; owner taken {requested:.2f} s to request, "
            f"{max(taken):.2f} s to write; undo {steps[0]:.2f} s, redo {steps[1]:.2f} s "
            f"(load {psutil.getloadavg()[0]:.1f})"
        )


def against_peers(labels: np.ndarray, repeat: int) -> None:
    """Print the median seconds of components, holes and distances by this project's code and by the other packages."""
    import cc3d
    import edt
    import fill_voids

    print(f"{'':<24}{'class':>6}{'here s':>10}{'peer s':>10}{'here / peer':>13}   load {psutil.getloadavg()[0]:.1f}")
    for identity in (1, 2):
        where = np.nonzero(labels == identity)
        mask = np.ascontiguousarray(labels[tuple(slice(w.min(), w.max() + 1) for w in where)] == identity)
        for name, ours, peer in (
            ("components", partial(Parts, mask, silent), partial(cc3d.connected_components, mask, connectivity=6)),
            ("holes", partial(enclosed, mask, silent), partial(fill_voids.fill, mask)),
            ("distance up to 5 mm", partial(squared_distance, ~mask, SPACING, 5.0), partial(edt.edtsq, mask, SPACING)),
            ("... outside", partial(squared_distance, mask, SPACING, 5.0), partial(edt.edtsq, ~mask, SPACING)),
        ):
            times = np.array([[seconds(ours), seconds(peer)] for _ in range(repeat + 1)])[1:]
            here, there = np.median(times, axis=0)
            print(f"{name:<24}{identity:>6}{here:>10.2f}{there:>10.2f}{here / there:>13.2f}", flush=True)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
