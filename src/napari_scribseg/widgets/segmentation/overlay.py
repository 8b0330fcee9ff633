"""The certainty of a result, shown over the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import Segmentation
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.segmentation.layers import LayerSet

__all__ = ["KINDS", "Overlay", "overlay_values"]

KINDS = ("none", "probability", "uncertainty")
_UNCERTAIN = (1.0, 0.95, 0.2, 1.0)


class Overlay:
    """Shows how certain the result on the displayed slice is; computed in the background.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    opacity : float
        From 0 to 1.
    missing : str
        Why nothing is shown although an overlay is chosen.
    """

    def __init__(self, layers: LayerSet, session: Session, changed: Callable[[], object], aside: Aside) -> None:
        self.kind = "none"
        self.opacity = 0.5
        self._layers = layers
        self._session = session
        self.missing = ""
        self._changed = changed
        self._aside = aside

    def show(self, slice_index: SliceIndex) -> None:
        """Show the overlay of the displayed slice; none where the slice has no result."""
        result = self._session.results(slice_index) if self.kind != "none" else None
        if result is None:
            self._show_nothing("" if self.kind == "none" else f"there is no {self.kind} until it is segmented")
            return
        kind, (identity, name, color) = self.kind, self._shown_class()

        def arrived(values: Any) -> None:
            if kind != self.kind or slice_index != self._layers.slice_index():
                return
            if values is None:
                self._show_nothing(f"there is no {name}: it has no strokes here")
                return
            self.missing = ""
            self._layers.show_overlay(slice_index, values, name, self.opacity, color)
            self._changed()

        self._aside(
            lambda: overlay_values(kind, result.probabilities, result.ids, identity),
            arrived,
            lambda error: self._show_nothing(f"the overlay cannot be shown ({error!r})"),
        )

    def hide(self) -> None:
        """Show nothing, where no slice is displayed."""
        self._layers.hide_overlay()
        self.missing = ""

    def _show_nothing(self, why: str) -> None:
        self._layers.hide_overlay()
        self.missing = why
        self._changed()

    def _shown_class(self) -> tuple[int, str, tuple[float, ...]]:
        """Label id, name and colour of the class of the brush; the background has the id 0."""
        if self.kind == "uncertainty":
            return 0, "uncertainty", _UNCERTAIN
        strokes = self._layers.strokes
        brush = 0 if strokes is None else strokes.selected_label
        chosen = next((c for c in self._session.classes if c.id == brush), None)
        if chosen is None:
            return brush, f"probability of label {brush}", _UNCERTAIN
        return 0 if chosen.background else brush, f"probability of {chosen.name}", chosen.color


def overlay_values(
    kind: str, probabilities: NDArray[np.float32], ids: tuple[int, ...], identity: int
) -> NDArray[np.float32] | None:
    """The values of an overlay.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    probabilities : ndarray of shape (K, H, W), float32
        Of a result.
    ids : tuple of int
        Label id of each of the K classes.
    identity : int
        The label id whose probability is shown; 0 is the background.

    Returns
    -------
    ndarray of shape (H, W), float32, or None
        Numbers from 0 to 1: the probability, or the entropy over log K. None where there is nothing to show, such as
        the probability of a class that has no strokes.
    """
    if kind == "probability":
        return probabilities[ids.index(identity)] if identity in ids else None
    if kind == "uncertainty":
        return Segmentation(probabilities, None).entropy
    return None
