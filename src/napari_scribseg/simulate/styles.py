"""Robot users that draw as people did, fitted to two sets of strokes."""

from __future__ import annotations

from napari_scribseg.core import InputError
from napari_scribseg.simulate.human_error import HumanError
from napari_scribseg.simulate.robot import RobotUser
from napari_scribseg.simulate.strokes import ScribbleStyle

__all__ = ["human_like"]

_USERS = {
    "photographs": RobotUser(
        style=ScribbleStyle(
            tiles=8,
            smallest_tile=7,
            tile_share=0.0141,
            skeleton_reach=12,
            point_distance=18.1,
            torn_share=0.0174,
            deviation=8.0,
            radius=0.237,
        ),
        error=HumanError(jitter=2.91, jitter_length=6.33, steered=True, shortened=0.465, spill=1.0, spill_rate=0.0064),
        band=123.0,
    ),
    "cardiac": RobotUser(
        style=ScribbleStyle(
            tiles=7,
            smallest_tile=3,
            tile_share=0.0141,
            skeleton_reach=8,
            point_distance=6.88,
            torn_share=0.0,
            deviation=7.2,
            radius=0.237,
        ),
        error=HumanError(jitter=2.39, jitter_length=20.0, steered=True, shortened=0.265, spill=1.0, spill_rate=0.0037),
        band=146.0,
    ),
}


def human_like(kind: str) -> RobotUser:
    """A robot user whose strokes are like those of people, as far as a search for its values could bring them.

    Parameters
    ----------
    kind : {"photographs", "cardiac"}
        ``"photographs"``: thin seed strokes for the parts of a photograph (Santner et al. 2010, in pixels of images of
        391 x 625). ``"cardiac"``: experts' strokes on short-axis cardiac MR (Valvano et al. 2021, in pixels of slices
        of about 216 x 256). In both, people almost never crossed a border, and never drew in a wrong label.

    Returns
    -------
    RobotUser
        ``benchmarks/human_strokes.py`` found its values on half of the photographs and patients, and compares it with
        people on the other half.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind not in _USERS:
        raise InputError(f"there is no user {kind!r}; one of {', '.join(_USERS)} is expected")
    return _USERS[kind]
