"""A small plot of how a fit goes: loss over steps, folded in at will, and not there for engines that fit nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_scribseg.core import LossCurve

__all__ = ["CurvePanel", "CurvePlot", "caption", "log_share"]

_HEIGHT = 120  # pixels of the plot
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 20, 8, 18  # pixels around its axes
_DOT = 2.5  # radius of a point, in pixels
_DECADES = 4  # of the loss that are shown at the most
_TRAINING, _VALIDATION = QColor("#2f8fd0"), QColor("#e07b00")  # apart for most eyes, on dark and on light ground


class CurvePanel(QWidget):
    """A heading that folds the plot away; all of it is hidden while there is no curve."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = CurvePlot()
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setChecked(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.toggled.connect(self._on_fold)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.setSpacing(2)
        layout.addWidget(self.fold)
        layout.addWidget(self.plot)
        self._on_fold(True)
        self.hide()

    def show_curve(self, curve: LossCurve | None, *, fitting: bool = False) -> None:
        """Show how a fit went, or goes (``fitting``); None hides the panel."""
        if curve is None:
            if self.plot.curve is not None:  # what changes beside the canvas has the whole window painted anew
                self.plot.show_curve(None)
                self.hide()
            return
        self.fold.setText(caption(curve, fitting=fitting))
        self.plot.show_curve(curve)
        self.show()

    def _on_fold(self, opened: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.plot.setVisible(opened)


class CurvePlot(QWidget):
    """Both losses over the steps, on a logarithmic scale, and where the weights that were kept lie.

    Attributes
    ----------
    curve : LossCurve or None
        What is shown.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curve: LossCurve | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Loss of the fit over its steps, on a logarithmic scale: where it is fitted (line), at what is held back "
            "(dashes and dots), and the step whose weights are kept (upright line)"
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as there is room."""
        return QSize(200, _HEIGHT)

    def show_curve(self, curve: LossCurve | None) -> None:
        """Show another curve."""
        self.curve = curve
        self.update()

    def paintEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        """Draw the axes, the curves and the mark."""
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
        self._draw_axes(painter, box, ink, (low, high))
        across = np.asarray(curve.steps, dtype=float) / max(int(curve.steps[-1]), 1)
        for losses, color, dashed in ((curve.training, _TRAINING, False), (curve.validation, _VALIDATION, True)):
            self._draw_line(painter, box, across, log_share(losses, low, high), color, dashed)
        x = box.left() + box.width() * curve.best / max(int(curve.steps[-1]), 1)
        painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        self._draw_legend(painter, box, ink)
        painter.end()

    def _draw_axes(self, painter: QPainter, box: QRectF, ink: QColor, span: tuple[float, float]) -> None:
        faint = QColor(ink)
        faint.setAlpha(110)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.topLeft(), box.bottomLeft())
        painter.setPen(ink)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, y in zip(span, (box.bottom(), box.top()), strict=True):
            painter.drawText(QRectF(0, y - 7, _LEFT - 4, 14), right, f"{value:.2g}")
        if self.curve is not None:
            below = QRectF(box.left(), box.bottom() + 2, box.width(), _BOTTOM - 2)
            painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "steps")
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(self.curve.steps[-1]))

    def _draw_line(
        self,
        painter: QPainter,
        box: QRectF,
        across: NDArray[np.float64],
        up: NDArray[np.float64],
        color: QColor,
        dashed: bool,
    ) -> None:
        """One of the losses; what was not looked at is passed over."""
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

    def _draw_legend(self, painter: QPainter, box: QRectF, ink: QColor) -> None:
        """Names of the lines, above the plot."""
        curve = self.curve
        if curve is None:
            return
        entries = [("fitted", _TRAINING, Qt.PenStyle.SolidLine)]
        if np.isfinite(curve.validation).any():
            entries.append(("held back", _VALIDATION, Qt.PenStyle.DashLine))
        entries.append(("kept", ink, Qt.PenStyle.DotLine))
        x, y = box.left(), _TOP / 2
        for text, color, style in entries:
            painter.setPen(QPen(color, 1.6, style))
            painter.drawLine(QPointF(x, y), QPointF(x + 18, y))
            painter.setPen(ink)
            wide = painter.fontMetrics().horizontalAdvance(text)
            painter.drawText(QRectF(x + 22, y - 7, wide + 2, 14), Qt.AlignmentFlag.AlignVCenter, text)
            x += wide + 34


def caption(curve: LossCurve, *, fitting: bool) -> str:
    """What the heading says of a curve.

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
    """Where losses lie between ``low`` (0) and ``high`` (1) on a logarithmic scale; NaN where they are not finite."""
    values = np.where(np.isfinite(losses), np.clip(losses, low, high), np.nan)
    share: NDArray[np.float64] = np.log(values / low) / np.log(high / low)
    return share


def _range(curve: LossCurve) -> tuple[float, float]:
    """The losses at the foot and the top of the plot, both above 0."""
    values = np.concatenate((curve.training, curve.validation))
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 0.1, 1.0
    high = float(values.max())
    low = max(float(values.min()), high * 10.0**-_DECADES)
    return (low, high) if high > 1.05 * low else (low / 1.5, high * 1.5)
