"""What one click beside *Start painting* can do: resume autosaved strokes, or turn to an image that was opened."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from napari_scribseg.widgets.common.autosaves import autosaves, saved_at
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.layers import covers, image_layers, in_one_place
from napari_scribseg.widgets.segmentation.image_panel import ImagePanel

__all__ = ["Offers"]


class Offers:
    """Decides what the button of the image panel offers.

    An image that is opened is turned to if nothing is begun on the one before; else it is offered.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    panel : ImagePanel
        With the chosen image, and the button.
    is_begun : callable
        ``is_begun(image)`` says whether an image is annotated.
    resume : callable
        Continues with the autosaved strokes.
    later : callable
        ``later(milliseconds, function)``, because napari is not done with a layer when it says that it was added.

    Attributes
    ----------
    message : str
        What is offered for an image that is not begun; empty for nothing.
    opened : Signal(str)
        Another image was opened; a message says which one the panel is on.
    """

    opened = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        panel: ImagePanel,
        is_begun: Callable[[Image | None], bool],
        resume: Callable[[], object],
        later: Callable[[int, Callable[[], object]], object],
    ) -> None:
        self.message = ""
        self._viewer, self._panel = viewer, panel
        self._is_begun, self._resume, self._later = is_begun, resume, later
        self._new: list[Image] = []
        self._accept: Callable[[], object] | None = None
        self._offered: Image | None = None
        panel.offer.clicked.connect(lambda: None if self._accept is None else self._accept())
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def follow(self, source: LayerSource | None) -> None:
        """Offer what there is for an image: its autosaved strokes, until it is begun."""
        found = [] if source is None or self._is_begun(source.layer) else autosaves(source)
        if not found:
            self._offer("", "", None)
            return
        when = _date(saved_at(found[0]))
        self._offer("Resume", f"Continue with the strokes that were autosaved {when}", self._resume)
        self.message = f"Strokes of {when} are autosaved: Resume, or start anew"

    def close_events(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _offer(self, text: str, tooltip: str, accept: Callable[[], object] | None) -> None:
        self.message, self._accept, self._offered = "", accept, None
        self._panel.show_offer(text, tooltip)

    def _on_inserted(self, event: Any) -> None:
        self._new.append(event.value)
        if len(self._new) == 1:
            self._later(0, self._on_new)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._offered:
            self.follow(self._panel.source)

    def _on_new(self) -> None:
        """Turn to the first of the images that were opened together, or offer it."""
        new, self._new = self._new, []
        chosen = self._panel.image
        found = [x for x in image_layers(self._viewer) if x in new and x is not chosen]
        if chosen is None or chosen in new or not found or _belong_together(chosen, found[0]):
            return
        image = found[0]
        if not self._is_begun(chosen):
            self._panel.pick(image)
            return
        tooltip = f"Turn to {image.name}; the work on {chosen.name} stays"
        self._offer(f"Show {image.name}", tooltip, lambda: self._panel.pick(image))
        self._offered = image
        self.opened.emit(f"{image.name} was opened; this panel is on {chosen.name}")


def _belong_together(first: Image, second: Image) -> bool:
    """Whether two images are channels of one, such as those of one file or those that are blended."""
    path = first.source.path
    return (path is not None and path == second.source.path) or (in_one_place(first, second) and not covers(second))


def _date(seconds: float) -> str:
    """A time as a message has it: ``"today, 12:41"``, ``"14 Nov 2023, 22:13"``."""
    then, now = time.localtime(seconds), time.localtime()
    today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("today, %H:%M" if today else f"{then.tm_mday} %b %Y, %H:%M", then)
