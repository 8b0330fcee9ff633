"""A cohort of images segmented by one engine, on this machine or on many."""

from napari_scribseg.batch.batch_jobs import BatchJob, BatchOutcome
from napari_scribseg.batch.bids_tree import read_bids
from napari_scribseg.batch.cohort import run_batch
from napari_scribseg.batch.report import BatchReport
from napari_scribseg.batch.tables import read_table

__all__ = ["BatchJob", "BatchOutcome", "BatchReport", "read_bids", "read_table", "run_batch"]
