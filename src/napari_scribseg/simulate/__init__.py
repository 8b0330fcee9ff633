"""Simulated users: strokes, corrections, clicks, boxes and extreme points drawn from a label; needs no torch."""

from napari_scribseg.simulate.boxes import bounding_box, box_stroke, extreme_points, point_strokes
from napari_scribseg.simulate.corrections import Correction, simulate_correction
from napari_scribseg.simulate.human_error import HumanError
from napari_scribseg.simulate.painting import Hand, paint_object, paint_surroundings
from napari_scribseg.simulate.robot import RobotUser, human_like
from napari_scribseg.simulate.simulated_clicks import Click, robot_click, training_clicks
from napari_scribseg.simulate.simulated_scribbles import ScribbleStyle, SimulatedScribble, simulate_scribble
from napari_scribseg.simulate.sloppy_outlines import enclosed, sloppy_outline

__all__ = [
    "Click",
    "Correction",
    "Hand",
    "HumanError",
    "RobotUser",
    "ScribbleStyle",
    "SimulatedScribble",
    "bounding_box",
    "box_stroke",
    "enclosed",
    "extreme_points",
    "human_like",
    "paint_object",
    "paint_surroundings",
    "point_strokes",
    "robot_click",
    "simulate_correction",
    "simulate_scribble",
    "sloppy_outline",
    "training_clicks",
]
