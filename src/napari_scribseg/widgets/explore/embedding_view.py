"""The embedding on the screen: zoom, pan, box and lasso."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_scribseg.widgets.explore.camera import Camera
from napari_scribseg.widgets.explore.keys import action_of
from napari_scribseg.widgets.explore.scene import Colors, Ids, Points, Scene
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["TOOLS", "EmbeddingView"]

TOOLS = ("box", "lasso")

_FRAME_MS = 16
_TILES_MS = 60  # after a movement, before thumbnails are requested
_CLICK = 3  # pixels that the mouse may move in a click
_WHEEL = 1.0015  # for each unit of the wheel, of which a notch has 120
_CLOSE = 60.0  # pixels for a unit when a segment is centred


class EmbeddingView(QWidget):
    """Shows points with thumbnails; independent of the workspace.

    ``outlined`` carries the corners of a box (2) or a lasso (more), in coordinates of the embedding, and how it counts:
    ``"new"``, ``"add"`` (Shift) or ``"remove"`` (Ctrl); ``picked`` a segment that was clicked (0 for none) and how it
    counts; ``tiles_wanted`` segments whose thumbnails are missing; ``pressed`` the action of a key.
    """

    outlined = Signal(np.ndarray, str)
    picked = Signal(int, str)
    tiles_wanted = Signal(np.ndarray)
    pressed = Signal(object)

    def __init__(self, tiles: Tiles, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene = Scene(tiles)
        self.tool = TOOLS[0]
        self.hint = hint
        self._line: list[QPointF] = []  # of what is being drawn
        self._dragged: QPointF | None = None
        self._moving = QTimer(self)
        self._moving.setInterval(_FRAME_MS)
        self._moving.timeout.connect(self._step)
        self._wanting = QTimer(self)
        self._wanting.setSingleShot(True)
        self._wanting.setInterval(_TILES_MS)
        self._wanting.timeout.connect(lambda: self.tiles_wanted.emit(self._missing))
        self._missing: Ids = np.zeros(0, dtype=np.int64)
        self.setMinimumSize(200, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)

    # what is shown ----------------------------------------------------------------------------------------------------

    def show_points(self, ids: Ids, xy: Points, colors: Colors, *, smoothly: bool = True) -> None:
        """Show segments at positions of shape (n, 2), in colours of shape (n, 3); those that are shown move there."""
        finite = np.isfinite(xy).all(axis=1)
        self.scene.show(ids, xy, self._size, time.monotonic(), smoothly=smoothly)
        self.scene.color(colors[finite])
        self._move()

    def show_colors(self, colors: Colors) -> None:
        """Change the colours of the segments shown, in the order of ``scene.ids``."""
        self.scene.color(colors)
        self.update()

    def select(self, ids: Ids) -> None:
        """Select segments, and no others."""
        self.scene.select(ids)
        self.update()

    def set_style(self, style: str) -> None:
        """A grid or a map of thumbnails, or points; see :class:`~napari_scribseg.widgets.explore.scene.Scene`."""
        self.scene.restyle(style, self._size, time.monotonic())
        self._move()

    def set_ground(self, dark: bool, ground: tuple[int, int, int]) -> None:
        """Set the colours by the theme of the window."""
        self.scene.ground = ground
        self.scene.mark = (255, 255, 255) if dark else (0, 0, 0)
        self.update()

    def fit(self) -> None:
        """Show all segments."""
        self.scene.fit(self._size, time.monotonic())
        self._move()

    def center_on(self, identity: int) -> None:
        """Bring a segment into the middle, near enough to see its neighbours."""
        xy = self.scene.xy_of(identity)
        if xy is not None:
            self.scene.follows = False
            self.scene.go_to(Camera(*xy, max(self.scene.camera.scale, _CLOSE)), time.monotonic())
            self._move()

    def pixel_of(self, identity: int) -> tuple[float, float] | None:
        """Where a segment is on the canvas, across and down; None where it is not shown."""
        found = np.flatnonzero(self.scene.ids == identity)
        if not len(found):
            return None
        ((x, y),) = self.scene.camera.to_pixels(self.scene.xy[found[:1]], *self._size)
        return float(x), float(y)

    @property
    def is_moving(self) -> bool:
        """Whether points or the camera move."""
        return self._moving.isActive()

    @property
    def _size(self) -> tuple[int, int]:
        return max(self.width(), 1), max(self.height(), 1)

    def _move(self) -> None:
        self._moving.start()
        self.update()

    def _step(self) -> None:
        if not self.scene.step(time.monotonic()):
            self._moving.stop()
        self.update()

    # painting ---------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: Any) -> None:  # noqa: N802  Qt's name
        """Paint a frame, and what is being drawn over it."""
        ratio = float(self.devicePixelRatioF())
        frame, self._missing = self.scene.frame(*self._size, ratio)
        height, width = frame.shape
        image = QImage(frame.tobytes(), width, height, 4 * width, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        painter = QPainter(self)
        painter.drawImage(0, 0, image)
        painter.setPen(QColor(*self.scene.mark, 170))
        if not len(self.scene.ids) and self.hint:
            inside = self.rect().adjusted(16, 4, -16, -4)
            painter.drawText(inside, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self.hint)
        if len(self._line) > 1:
            self._paint_line(painter)
        painter.end()
        if len(self._missing) and not self.is_moving:
            self._wanting.start()

    def _paint_line(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(*self.scene.mark), 1.2, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(*self.scene.mark, 28))
        if self.tool == "box":
            painter.drawRect(QRectF(self._line[0], self._line[-1]).normalized())
        else:
            painter.drawPolygon(QPolygonF(self._line))

    # mouse and keys ---------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Begin a box or lasso with the left button; drag the embedding with another one."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._line = [_position(event)]
        else:
            self._dragged = _position(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Continue the box, lasso or drag."""
        where = _position(event)
        if self._line:
            self._line = [self._line[0], where] if self.tool == "box" else [*self._line, where]
            self.update()
        elif self._dragged is not None:
            step = where - self._dragged
            self._dragged = where
            self.scene.stop_camera()
            self.scene.camera = self.scene.camera.moved(step.x(), step.y())
            self.update()

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802
        """Emit the click or the outline."""
        if event.button() != Qt.MouseButton.LeftButton:
            self._dragged = None
            return
        line, self._line = self._line, []
        if not line:
            return
        line = [line[0], _position(event)] if self.tool == "box" else line
        how = _how(event.modifiers())
        spread = max(abs(p.x() - line[0].x()) + abs(p.y() - line[0].y()) for p in line)
        if spread <= _CLICK:
            self.picked.emit(self.scene.at(line[0].x(), line[0].y(), *self._size), how)
        elif len(line) > 2 or self.tool == "box":
            corners = [self.scene.camera.to_xy(p.x(), p.y(), *self._size) for p in line]
            self.outlined.emit(np.array(corners, dtype=np.float64), how)
        self.update()

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Zoom about the mouse."""
        where = event.position()
        self.scene.stop_camera()
        factor = _WHEEL ** event.angleDelta().y()
        self.scene.camera = self.scene.camera.zoomed(factor, where.x(), where.y(), *self._size)
        self.update()
        event.accept()

    def mouseDoubleClickEvent(self, event: Any) -> None:  # noqa: N802
        """Show all on a double click beside the segments."""
        where = _position(event)
        if not self.scene.at(where.x(), where.y(), *self._size):
            self.fit()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Keep showing all."""
        super().resizeEvent(event)
        self.scene.resized(self._size)

    def event(self, event: Any) -> bool:
        """Keep the keys of actions from the window's shortcuts, which would come first."""
        if event.type() == QEvent.Type.ShortcutOverride and action_of(event) is not None:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Emit the action of a key; other keys go to the window."""
        action = action_of(event)
        if action is None:
            super().keyPressEvent(event)
        else:
            self.pressed.emit(action)


def _position(event: Any) -> QPointF:
    return QPointF(event.position() if hasattr(event, "position") else event.localPos())


def _how(modifiers: Any) -> str:
    if modifiers & Qt.KeyboardModifier.ShiftModifier:
        return "add"
    return "remove" if modifiers & Qt.KeyboardModifier.ControlModifier else "new"
