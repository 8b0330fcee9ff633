"""Images with their truth, and people's strokes where there are some, for training and measuring; needs no torch."""

from napari_scribseg.datasets.case import Case, DataSet

__all__ = ["Case", "DataSet"]
