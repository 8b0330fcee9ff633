"""Probability or uncertainty of a result, shown over the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.session import Session
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

__all__ = ["KINDS", "Overlay"]

KINDS = ("none", "probability", "uncertainty")
_UNCERTAIN = (1.0, 0.1, 0.8, 1.0)
_LIKELY = 0.5  # probability of a wrong label that is shown in full


class Overlay:
    """Shows probability or uncertainty of the displayed slice's result, computed in the background.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    opacity : float
        From 0 to 1.
    missing : str
        Why nothing is shown although an overlay is chosen; empty otherwise.
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
        """Show the overlay of the displayed slice, if the slice has a result.

        The values lie between 0 and 1: the probability of the brush's class, or that of the label to be wrong.
        """
        result = self._session.painted_result(slice_index) if self.kind != "none" else None
        if result is None:
            self._show_nothing("" if self.kind == "none" else f"there is no {self.kind} until it is segmented")
            return
        kind, (identity, name, color) = self.kind, self._shown_class()

        def compute() -> NDArray[np.float32] | None:
            if kind == "uncertainty":
                return result.uncertainty()
            ids = result.result.ids
            return result.result.probabilities()[ids.index(identity)] if identity in ids else None

        def arrived(values: NDArray[np.float32] | None) -> None:
            if kind != self.kind or slice_index != self._layers.slice_index():
                return
            if values is None:
                self._show_nothing(f"there is no {name}: it has no strokes here")
                return
            self.missing = ""
            most = _LIKELY if kind == "uncertainty" else 1.0
            self._layers.show_overlay(slice_index, values, name, self.opacity, color, most)
            self._changed()

        self._aside(compute, arrived, lambda error: self._show_nothing(f"the overlay cannot be shown ({error!r})"))

    def hide(self) -> None:
        """Hide the overlay because no slice is displayed."""
        self._layers.hide_overlay()
        self.missing = ""

    def _show_nothing(self, why: str) -> None:
        self._layers.hide_overlay()
        self.missing = why
        self._changed()

    def _shown_class(self) -> tuple[int, str, tuple[float, ...]]:
        """Label id, name and colour of what is shown: for the probability the brush's class, the background as id 0."""
        if self.kind == "uncertainty":
            return 0, "uncertainty", _UNCERTAIN
        strokes = self._layers.strokes
        brush = 0 if strokes is None else strokes.selected_label
        chosen = next((c for c in self._session.classes if c.id == brush), None)
        if chosen is None:
            return brush, f"probability of label {brush}", _UNCERTAIN
        return 0 if chosen.background else brush, f"probability of {chosen.name}", chosen.color
