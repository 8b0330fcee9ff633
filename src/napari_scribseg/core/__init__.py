"""The vocabulary: images, scribbles, engines and what they return. Needs numpy only."""

from napari_scribseg.core.capabilities import (
    LoadsModels,
    PredictsUnprompted,
    SeesNeighbours,
    ShowsFeatures,
    pictures_of,
)
from napari_scribseg.core.classes import ClassTable, LabelClass
from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.engine import Engine, EngineInfo, Hint, Report, Segmentation, silent
from napari_scribseg.core.errors import Cancelled, InputError
from napari_scribseg.core.geometry import Geometry
from napari_scribseg.core.image import Image
from napari_scribseg.core.parameters import Parameter, Range, Shown, check_parameters, parameters_of, parse_parameters
from napari_scribseg.core.registry import engine_infos, engine_names, get_engine
from napari_scribseg.core.scribbles import UNKNOWN, Scribbles, Stroke
from napari_scribseg.core.source import SliceIndex, Source

__all__ = [
    "UNKNOWN",
    "Cancelled",
    "ClassTable",
    "Engine",
    "EngineInfo",
    "Geometry",
    "Hint",
    "Image",
    "InputError",
    "LabelClass",
    "LoadsModels",
    "LossCurve",
    "Parameter",
    "PredictsUnprompted",
    "Range",
    "Report",
    "Scribbles",
    "SeesNeighbours",
    "Segmentation",
    "Shown",
    "ShowsFeatures",
    "SliceIndex",
    "Source",
    "Stroke",
    "check_parameters",
    "engine_infos",
    "engine_names",
    "get_engine",
    "parameters_of",
    "parse_parameters",
    "pictures_of",
    "silent",
]
