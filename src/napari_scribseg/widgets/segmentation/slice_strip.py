"""A strip with a mark for each slice: painted, filled or drafted and how sure, accepted, and which is displayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QEvent, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_scribseg.annotate.session import Session
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.session_slots import reconnect

__all__ = ["Mark", "SliceStrip", "marks"]

_HEIGHT = 22  # pixels
_CALM_MS = 100  # between two drawings: each of them repaints the whole window
_COLORS = {"accepted": "#3cb454", "painted": "#4da3ff", "labelled": "#9aa0aa", "empty": "#565b66"}
_SURE = {"filled": QColor("#c9ccd2"), "drafted": QColor("#e8b84a")}
_UNSURE = QColor("#e23ad0")  # as in the overlay of uncertainty
_LEAST_SURE = 0.5  # a certainty that is drawn as unsure as any below it
# of the height
_TALL = {"accepted": 1.0, "painted": 1.0, "filled": 0.55, "drafted": 0.55, "labelled": 0.55, "empty": 0.12}
_WORDS = {"labelled": "labels to look at", "empty": "empty"}
_ORDER = (
    "empty",
    "labelled",
    "filled",
    "drafted",
    "accepted",
    "painted",
)  # where marks share a pixel the last is drawn over others


@dataclass(frozen=True, slots=True)
class Mark:
    """What a slice is.

    Attributes
    ----------
    kind : {"accepted", "painted", "filled", "drafted", "labelled", "empty"}
        ``painted`` counts for filling: by strokes, by hand, or as labels that were there; ``labelled`` has other
        labels, such as propagated ones.
    certainty : float
        How sure a filled or drafted slice is, from 0 to 1; 1 for others.
    """

    kind: str
    certainty: float = 1.0

    @property
    def text(self) -> str:
        """In words: ``"filled, 87% sure"``."""
        return f"{self.kind}, {self.certainty:.0%} sure" if self.kind in _SURE else _WORDS.get(self.kind, self.kind)


def marks(session: Session, slices: Iterable[SliceIndex], labelled: Iterable[bool]) -> list[Mark]:
    """The marks of slices along one axis; ``labelled`` says of each whether it has labels."""
    slices = list(slices)
    if not slices:
        return []
    anchors = set(session.anchors(slices[0].others[-1], like=slices[0]))
    painted = anchors.union(session.painted_slices(slices[0].displayed))
    accepted, filled, drafted = session.accepted, session.filled, session.drafted
    found = []
    for each, has_labels in zip(slices, labelled, strict=True):
        if each in accepted:
            found.append(Mark("accepted"))
        elif each in filled and each not in anchors:
            found.append(Mark("filled", filled[each]))
        elif each in drafted and each not in anchors:
            found.append(Mark("drafted", drafted[each]))
        elif each in painted:
            found.append(Mark("painted"))
        else:
            found.append(Mark("labelled" if has_labels else "empty"))
    return found


class SliceStrip(QWidget):
    """The slices along the axis that is displayed, side by side; a click shows one: ``chosen`` carries it."""

    chosen = Signal(SliceIndex)

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._slices: tuple[SliceIndex, ...] = ()
        self._along: object = None  # what they have in common
        self._labelled: list[bool] = []
        self._unread: set[int] = set()  # slices of which it is not known whether they have labels
        self._array: object = None  # the labels that were read
        self.current = -1
        self.marks: list[Mark] = []
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_CALM_MS)
        self._calm.timeout.connect(self.refresh)
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    # the session ------------------------------------------------------------------------------------------------------

    def follow(self, session: Session | None) -> None:
        """Show the slices of a session from now on."""
        if session is self._session:
            return
        reconnect(
            self._session,
            session,
            {
                "updated": self._on_slice,
                "restored": self._on_slice,
                "stepped": self._on_stepped,
                "changed": self._calmly,
            },
        )
        self._session, self._along, self._array = session, None, None
        self._slices, self.marks, self.current = (), [], -1
        self.update()

    def show_state(self, state: SliceState) -> None:
        """Show which slice is displayed, and the slices along its axis."""
        here = state.slice_index
        if here is None or self._session is None or not here.position:
            return
        along = here.displayed, here.position[:-1]
        if along != self._along:
            axis, self._along = here.others[-1], along
            self._slices = tuple(here.at(axis, i) for i in range(self._session.volume.shape[axis]))
            self._array = None
            self.current = here.position[-1]
            self.refresh()
        elif here.position[-1] != self.current:
            self.current = here.position[-1]
            self.update()

    def refresh(self) -> None:
        """Find the marks anew, and draw those that changed."""
        session = self._session
        if session is None or not self._slices:
            return
        labels = session.labels
        if self._array is not labels:
            self._array, self._labelled = labels, [False] * len(self._slices)
            self._unread = set(range(len(self._slices)))
        for row in self._unread:
            self._labelled[row] = bool(labels[self._slices[row].slicer].any())
        self._unread.clear()
        found = marks(session, self._slices, self._labelled)
        if found != self.marks:
            self.marks = found
            self.update()

    @property
    def text(self) -> str:
        """The slices counted by what they are."""
        counts = Counter(mark.kind for mark in self.marks)
        named = [f"{n} {kind}" for kind in ("painted", "filled", "drafted", "accepted") if (n := counts[kind])]
        return f"{', '.join(named) or 'Nothing yet'}, of {len(self.marks)} slices"

    def _on_slice(self, event: Any) -> None:
        self._read_again((event.slice_index,))

    def _on_stepped(self, event: Any) -> None:
        self._read_again(event.slices)

    def _read_again(self, slices: Iterable[SliceIndex]) -> None:
        for each in slices:
            row = each.position[-1] if each.position else -1
            if 0 <= row < len(self._slices) and self._slices[row] == each:
                self._unread.add(row)
        self._calmly()

    def _calmly(self) -> None:
        if not self._calm.isActive():
            self._calm.start()

    # the picture ------------------------------------------------------------------------------------------------------

    def row_at(self, x: float) -> int:
        """The slice at a place from the left."""
        n = len(self._slices)
        return min(max(int(x / max(self.width(), 1) * n), 0), n - 1)

    def place_of(self, row: int) -> QRectF:
        """Where a slice is drawn."""
        width = self.width() / max(len(self._slices), 1)
        return QRectF(row * width, 0.0, width, float(self.height()))

    def paintEvent(self, _event: Any) -> None:  # noqa: N802  Qt's name
        """Draw a mark for each slice, and a frame around the one that is displayed."""
        painter = QPainter(self)
        for kind in _ORDER:
            for row, mark in enumerate(self.marks):
                if mark.kind == kind:
                    place = self.place_of(row)
                    gap = 1.0 if place.width() >= 3 else 0.0
                    height = _TALL[kind] * (place.height() - 4)
                    width = max(place.width() - gap, 1.0)
                    painter.fillRect(QRectF(place.x(), place.height() - 2 - height, width, height), _color(mark))
        if 0 <= self.current < len(self._slices):
            place = self.place_of(self.current)
            painter.setPen(self.palette().windowText().color())
            width = max(place.width() - 1, 3.0)
            painter.drawRect(QRectF(place.center().x() - width / 2 - 0.5, 0.5, width, place.height() - 1.5))
        painter.end()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802  Qt's name
        """Show the slice under the mouse."""
        self._choose(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802  Qt's name
        """Go through slices while the button is down."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(event)

    def _choose(self, event: Any) -> None:
        if self._slices:
            row = self.row_at(event.position().x())
            if row != self.current:
                self.chosen.emit(self._slices[row])

    def event(self, event: Any) -> bool:
        """Say what the slice under the mouse is."""
        if event.type() == QEvent.Type.ToolTip and self.marks and self._session is not None:
            row = self.row_at(event.pos().x())
            where = self._session.volume.where(self._slices[row])
            QToolTip.showText(event.globalPos(), f"{where}: {self.marks[row].text}\n{self.text}", self)
            return True
        return bool(super().event(event))


def _color(mark: Mark) -> QColor:
    if mark.kind not in _SURE:
        return QColor(_COLORS[mark.kind])
    share = min(max((mark.certainty - _LEAST_SURE) / (1 - _LEAST_SURE), 0.0), 1.0)
    parts = zip(_UNSURE.getRgb()[:3], _SURE[mark.kind].getRgb()[:3], strict=True)  # type: ignore[index]
    return QColor(*(round(unsure + share * (sure - unsure)) for unsure, sure in parts))
