"""Long work on a workspace: on a snapshot in any thread, and its result in the owner's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from napari_scribseg.core import Report, Segmentation, silent
from napari_scribseg.kernel import Deliver

__all__ = ["WorkspaceTask", "part"]

R = TypeVar("R")
T = TypeVar("T")


def _pass_on(result: Any) -> Any:
    return result


@dataclass(frozen=True, slots=True, eq=False)
class WorkspaceTask(Generic[R, T]):
    """Work that takes long, in two halves; calling the task does both.

    Attributes
    ----------
    work : callable
        ``work(report, deliver)`` computes a result from a snapshot, in any thread. ``report`` raises
        :class:`~napari_scribseg.core.Cancelled` to stop it; ``deliver(fn)`` calls ``fn`` in the owner's thread, for
        partial results that survive a cancel.
    finish : callable
        ``finish(result)`` puts the result into the workspace, in the owner's thread; by default it only passes it on.
    """

    work: Callable[[Report, Deliver], R]
    finish: Callable[[R], T] = _pass_on

    def __call__(self, report: Report = silent) -> T:
        """Do all of it now, in the owner's thread."""
        return self.finish(self.work(report, lambda fn: fn()))


def part(report: Report, start: float, stop: float) -> Report:
    """A report for the part of a computation between two fractions."""

    def report_part(fraction: float, preview: Segmentation[object] | None = None) -> None:
        report(start + (stop - start) * fraction)

    return report_part
