"""A cohort of images segmented by one engine, on this machine or on many."""

from napari_scribseg.batch.bids_tree import read_bids
from napari_scribseg.batch.jobs import Job, Outcome
from napari_scribseg.batch.report import BatchReport
from napari_scribseg.batch.run import run_batch
from napari_scribseg.batch.tables import read_table

__all__ = ["BatchReport", "Job", "Outcome", "read_bids", "read_table", "run_batch"]
