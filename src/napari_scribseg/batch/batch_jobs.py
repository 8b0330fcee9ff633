"""Jobs, tasks and outcomes of single images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from napari_scribseg.core import InputError
from napari_scribseg.io import label_extensions
from napari_scribseg.io.class_tables import tables_beside
from napari_scribseg.io.formats import extension, stem
from napari_scribseg.io.label_files import label_outputs
from napari_scribseg.io.outputs import check_outputs
from napari_scribseg.io.run_folder import RunFolder

__all__ = ["HIDDEN", "STATUSES", "BatchJob", "BatchOutcome", "BatchTask", "Status", "check_jobs"]

Status = Literal["done", "skipped", "failed", "left"]
STATUSES: tuple[Status, ...] = ("done", "skipped", "failed", "left")

HIDDEN = ".scribseg"  # folder of records inside the output folder


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One image of a cohort, its strokes, and where its labels go.

    Attributes
    ----------
    image, scribbles : Path
        Files, or a DICOM folder for the image.
    out : str
        Label file to write, relative to the output folder, with ``/``; unique in the cohort, it names the job.
    background : int or None
        Id whose strokes mark the background.
    axis : int, str or None
        Axis that the slices cut: its number, or axial, coronal or sagittal; None for the first spatial one.
    class_table : bool
        Whether to write a BIDS table of names and colours beside the labels also where there is none to keep.
    where : str
        Where the job was asked for, such as ``"cohort.csv, line 3"``, for messages.
    """

    image: Path
    scribbles: Path
    out: str
    background: int | None = None
    axis: int | str | None = None
    class_table: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class BatchTask:
    """A job with the settings that a worker on another machine needs; plain values only.

    Attributes
    ----------
    job : BatchJob
        With absolute paths.
    folder : Path
        The output folder.
    engine : str
        Registered name.
    parameters : mapping
        Values for the engine's fields, as the user gave them.
    settings : mapping
        The value of every field of the engine, in JSON types; a record is compared with it.
    device : str
        Where to compute.
    ignore_geometry, allow_outside, overwrite, retry_failed, fill : bool
        See :func:`napari_scribseg.batch.run_batch`.
    run : str
        Names this run; the same for all of its tasks.
    """

    job: BatchJob
    folder: Path
    engine: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    ignore_geometry: bool = False
    allow_outside: bool = False
    overwrite: bool = False
    retry_failed: bool = True
    fill: bool = False
    run: str = ""

    @property
    def labels(self) -> Path:
        """The label file to write."""
        return self.folder / self.job.out

    @property
    def run_folder(self) -> RunFolder:
        """The output folder, with the records of its images."""
        return RunFolder(self.folder, HIDDEN, hidden=True)

    @property
    def record(self) -> str:
        """The name of the record; it is written last, and with it the image counts as done."""
        return f"records/{self.job.out}.json"


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The result of one image.

    Attributes
    ----------
    id : str
        The job's ``out``.
    image : Path
        The image.
    status : {"done", "skipped", "failed", "left"}
        Skipped: an earlier run did it. Left: this run ended before its turn.
    seconds : float
        Time of reading, computing and writing, in the run that did it.
    slices : int
        Number of slices segmented.
    labels : Path or None
        The label file, where there is one.
    error : str
        Why it failed, one sentence.
    notes : tuple of str
        Warnings of reading, segmenting or writing.
    """

    id: str
    image: Path
    status: Status
    seconds: float = 0.0
    slices: int = 0
    labels: Path | None = None
    error: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: BatchTask, status: Status, **values: Any) -> BatchOutcome:
        """The outcome of a task."""
        return cls(task.job.out, task.job.image, status, **values)


def check_jobs(jobs: Iterable[BatchJob], folder: Path) -> None:
    """Refuse jobs that would write over each other, over what they read, or outside of the output folder.

    Raises
    ------
    InputError
        At the first such job: the message names it.
    """
    taken: dict[str, BatchJob] = {}
    folder = folder.resolve()
    listed = list(jobs)
    read = {path.resolve() for job in listed for path in (job.image, job.scribbles)}
    inputs = [p for job in listed for p in (job.image, job.scribbles, *tables_beside(job.scribbles))]
    for job in listed:
        path, place = PurePosixPath(job.out), _place(job)
        if extension(Path(path.name)) not in label_extensions():
            raise InputError(
                f"{place}: the output {job.out!r} has no extension of a label file; one of "
                f"{', '.join(label_extensions())} is expected"
            )
        if (
            "\0" in job.out
            or path.is_absolute()
            or ".." in path.parts
            or path.parts[0] == HIDDEN
            or Path(job.out).is_absolute()
        ):
            raise InputError(f"{place}: the output is {job.out!r}; a path inside the output folder is expected")
        # of the same stem are also x.mhd and x.nrrd, whose tables and data files could be the same
        key = (path.parent / stem(Path(path.name))).as_posix().casefold()
        if key in taken:
            raise InputError(
                f"{_place(taken[key])} and {place} would both write {job.out}; each image needs an output of its own "
                "(a column 'out' in a table, one folder of derivatives of a BIDS data set)"
            )
        taken[key] = job
        if (folder / job.out).resolve() in read:
            raise InputError(f"{place}: the output {job.out!r} is an input of this cohort; give another --out folder")
    outputs = (path for job in listed for path in label_outputs(folder / job.out, bids_tsv=job.class_table or None))
    check_outputs(outputs, inputs, overwrite=True)


def _place(job: BatchJob) -> str:
    return job.where or str(job.image)
