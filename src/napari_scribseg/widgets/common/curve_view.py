"""A small plot of the loss over the steps of a fit, hidden for engines without a fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_scribseg.core import LossCurve
from napari_scribseg.widgets.common.fold import Fold

__all__ = ["TRAINING", "VALIDATION", "CurvePanel", "CurvePlot", "caption", "log_share"]

_HEIGHT = 120  # pixels of the plot
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 20, 8, 18  # pixels around its axes
_DOT = 2.5  # radius of a point, in pixels
_DECADES = 4  # of the loss that are shown at most
TRAINING, VALIDATION = QColor("#2f8fd0"), QColor("#e07b00")  # distinct to most eyes, on dark and light background

_Floats = NDArray[np.float64]


class CurvePanel(QWidget):
    """The plot under a heading that folds it; hidden while there is no curve."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = CurvePlot(self)
        self.fold = Fold(self.plot, name="loss")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.fold)
        layout.addWidget(self.plot)
        self.hide()

    def show_curve(self, curve: LossCurve | None, *, fitting: bool = False) -> None:
        """Show the losses of a fit that is finished, or running (``fitting``); None hides the panel."""
        if curve is None and self.plot.curve is None:
            return  # any change beside the canvas repaints the whole window
        self.plot.show_curve(curve)
        if curve is not None:
            self.fold.setText(caption(curve, fitting=fitting))
        self.setVisible(curve is not None)


class CurvePlot(QWidget):
    """Both losses over the steps, on a logarithmic scale, and the step whose weights were kept.

    Attributes
    ----------
    curve : LossCurve or None
        The losses that are shown.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curve: LossCurve | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Loss of the fit over its steps, on a logarithmic scale: of the fitted strokes (line), of those held back "
            "(dashes and dots), and the step whose weights are kept (vertical line)"
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A fixed height; the width follows the dock."""
        return QSize(200, _HEIGHT)

    def show_curve(self, curve: LossCurve | None) -> None:
        """Show another curve."""
        self.curve = curve
        self.update()

    def paintEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        """Draw axes, losses and legend."""
        curve = self.curve
        if curve is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self.font()
        font.setPixelSize(10)
        painter.setFont(font)
        ink = self.palette().color(self.foregroundRole())
        box = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        low, high = _range(curve)
        last = int(curve.steps[-1])
        _draw_axes(painter, box, ink, (low, high), last)
        across = np.asarray(curve.steps, dtype=float) / max(last, 1)
        _draw_line(painter, box, across, log_share(curve.training, low, high), TRAINING, dashed=False)
        _draw_line(painter, box, across, log_share(curve.validation, low, high), VALIDATION, dashed=True)
        x = box.left() + box.width() * curve.best / max(last, 1)
        painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        _draw_legend(painter, box, ink, curve)
        painter.end()


def caption(curve: LossCurve, *, fitting: bool) -> str:
    """The heading of a curve.

    Examples
    --------
    >>> caption(LossCurve(np.array([0, 5]), np.array([1.0, 0.5]), np.array([1.0, 0.6]), 5, 100), fitting=True)
    'Loss: step 5 of 100'
    """
    last = int(curve.steps[-1])
    if fitting:
        return f"Loss: step {last} of {curve.max_steps}"
    ended = f"stopped at {last} of {curve.max_steps}" if curve.ended_early else f"all {last} steps"
    return f"Loss: {ended}, kept {curve.best}"


def log_share(losses: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Positions of losses between ``low`` (0) and ``high`` (1) on a logarithmic scale; NaN where not finite."""
    values = np.where(np.isfinite(losses), np.clip(losses, low, high), np.nan)
    share: NDArray[np.float64] = np.log(values / low) / np.log(high / low)
    return share


def _range(curve: LossCurve) -> tuple[float, float]:
    """The losses at the bottom and the top of the plot, both above 0."""
    values = np.concatenate((curve.training, curve.validation))
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 0.1, 1.0
    high = float(values.max())
    low = max(float(values.min()), high * 10.0**-_DECADES)
    return (low, high) if high > 1.05 * low else (low / 1.5, high * 1.5)


def _draw_axes(painter: QPainter, box: QRectF, ink: QColor, span: tuple[float, float], last: int) -> None:
    faint = QColor(ink)
    faint.setAlpha(110)
    painter.setPen(QPen(faint, 1))
    painter.drawLine(box.bottomLeft(), box.bottomRight())
    painter.drawLine(box.topLeft(), box.bottomLeft())
    painter.setPen(ink)
    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    for value, y in zip(span, (box.bottom(), box.top()), strict=True):
        painter.drawText(QRectF(0, y - 7, _LEFT - 4, 14), right, f"{value:.2g}")
    below = QRectF(box.left(), box.bottom() + 2, box.width(), _BOTTOM - 2)
    painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
    painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "steps")
    painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(last))


def _draw_line(painter: QPainter, box: QRectF, across: _Floats, up: _Floats, color: QColor, *, dashed: bool) -> None:
    """One of the losses, without the steps at which it is not known."""
    finite = np.isfinite(up)
    points = [
        QPointF(box.left() + box.width() * x, box.bottom() - box.height() * y)
        for x, y in zip(across[finite].tolist(), up[finite].tolist(), strict=True)
    ]
    painter.setPen(QPen(color, 1.6, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(QPolygonF(points))
    if dashed or len(points) == 1:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        for point in points:
            painter.drawEllipse(point, _DOT, _DOT)


def _draw_legend(painter: QPainter, box: QRectF, ink: QColor, curve: LossCurve) -> None:
    """Names of the lines, above the plot."""
    entries = [("fitted", TRAINING, Qt.PenStyle.SolidLine)]
    if np.isfinite(curve.validation).any():
        entries.append(("held back", VALIDATION, Qt.PenStyle.DashLine))
    entries.append(("kept", ink, Qt.PenStyle.DotLine))
    x, y = box.left(), _TOP / 2
    for text, color, style in entries:
        painter.setPen(QPen(color, 1.6, style))
        painter.drawLine(QPointF(x, y), QPointF(x + 18, y))
        painter.setPen(ink)
        wide = painter.fontMetrics().horizontalAdvance(text)
        painter.drawText(QRectF(x + 22, y - 7, wide + 2, 14), Qt.AlignmentFlag.AlignVCenter, text)
        x += wide + 34
