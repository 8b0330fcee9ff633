"""Images with their truth, and people's strokes where there are some, for training and measuring; imports no torch."""

from napari_scribseg.datasets.bids import open_bids
from napari_scribseg.datasets.built_in import BuiltInDataSet, built_in_data_sets, open_data_set
from napari_scribseg.datasets.case import Case, DataSet
from napari_scribseg.datasets.fetching import fetch_data_set
from napari_scribseg.datasets.folder import open_folder
from napari_scribseg.datasets.held_out import HELD_OUT, HELD_OUT_SOURCES, held_out, without_held_out
from napari_scribseg.datasets.made import made_ct
from napari_scribseg.datasets.views import drawn, semantic, single_object, slices

__all__ = [
    "HELD_OUT",
    "HELD_OUT_SOURCES",
    "BuiltInDataSet",
    "Case",
    "DataSet",
    "built_in_data_sets",
    "drawn",
    "fetch_data_set",
    "held_out",
    "made_ct",
    "open_bids",
    "open_data_set",
    "open_folder",
    "semantic",
    "single_object",
    "slices",
    "without_held_out",
]
