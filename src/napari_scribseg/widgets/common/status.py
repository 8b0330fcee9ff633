"""The foot of the widget: a status line, the engine's notes, and the progress of a job."""

from __future__ import annotations

from typing import Any

from napari.utils import progress
from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_scribseg.core import Hint
from napari_scribseg.widgets.common.fold import Fold
from napari_scribseg.widgets.common.messages import Message, user_message

__all__ = ["StatusPanel"]

_PATIENCE_MS = 500  # jobs shorter than this show no progress bar
_STEPS = 1000  # of the bar
_STEP_MS = 150  # between steps of the bar: each of them repaints the whole window


class StatusPanel(QWidget):
    """A status line, the engine's notes, and a progress bar with a cancel button for long jobs."""

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.line = _Wrapped()
        self.hints, self.notes = _Wrapped(), _Wrapped()
        self.hints.setStyleSheet("font-style: italic;")
        self.hints.hide()
        self.details = Fold(self.notes, "Details", name="details")
        self.details.setToolTip("What the engine chose by itself")
        self.details.hide()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, _STEPS)
        self._fraction = 0.0
        self._activity: progress | None = None  # the bar in napari's activity dock
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop the running job; the former result stays")
        self.cancel.clicked.connect(lambda: self.cancelled.emit())
        self.progress = QWidget()
        row = QHBoxLayout(self.progress)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self.progress.hide()
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(self._on_patience)
        self._steps = QTimer(self)
        self._steps.setInterval(_STEP_MS)
        self._steps.timeout.connect(self._move)
        self._message: Message | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 4)
        layout.setSpacing(2)
        for widget in (self.line, self.progress, self.hints, self.details, self.notes):
            layout.addWidget(widget)

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a text; an error is marked by a sign and not by colour alone."""
        self.show_status(Message(text, error))

    def show_status(self, message: Message) -> None:
        """Show a message; one of a job that has just begun waits for the progress bar."""
        self._message = message
        if not message.patient or not self.progress.isHidden():
            self._show_text()

    def _show_text(self) -> None:
        if self._message is not None:
            self.line.setText(f"⚠ {self._message.text}" if self._message.error else self._message.text)
            self.line.setStyleSheet("font-weight: bold;" if self._message.error else "")

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """Show the choices that the engine made by itself: hints at once, the others behind *Details*."""
        hints = [note for note in notes if isinstance(note, Hint)]
        self.hints.setText("\n".join(map(user_message, hints)))
        self.hints.setVisible(bool(hints))
        self.notes.setText("\n".join(note for note in notes if note not in hints))
        self.details.setVisible(bool(self.notes.text()))
        self.notes.setVisible(bool(self.notes.text()) and self.details.isChecked())

    def show_busy(self, busy: bool) -> None:
        """Show the progress bar after a while, or hide it."""
        if not busy:
            self._patience.stop()
            self._steps.stop()
            self.progress.hide()
            if self._activity is not None:
                self._activity.close()
                self._activity = None
        elif not self._patience.isActive() and self.progress.isHidden():
            self._fraction = 0.0
            self._patience.start()

    def show_progress(self, fraction: float) -> None:
        """Set the fraction of the job that is done, from 0 to 1; the bar follows a little later."""
        self._fraction = fraction

    def _on_patience(self) -> None:
        self.progress.show()
        self._show_text()
        self._steps.start()
        activity = progress(total=_STEPS, desc="Scribble segmentation")  # handles events: the job can end meanwhile
        if self.progress.isHidden():
            activity.close()
            return
        self._activity = activity
        self._move()

    def _move(self) -> None:
        done = round(_STEPS * self._fraction)
        self.bar.setValue(done)
        if self._activity is not None and done > self._activity.n:
            self._activity.update(done - self._activity.n)


class _Wrapped(QLabel):
    """A text on as many lines as it takes; a layout alone gives it fewer where the window is low."""

    def __init__(self) -> None:
        super().__init__("")
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def setText(self, text: str) -> None:  # noqa: N802  Qt's name
        """Show a text, and take its height."""
        super().setText(text)
        self._take_height()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802  Qt's name
        """Take the height at another width."""
        super().resizeEvent(event)
        self._take_height()

    def _take_height(self) -> None:
        self.setMinimumHeight(0)  # Qt's answer is never less than the least height
        self.setFixedHeight(self.heightForWidth(self.width()) if self.text() else 0)
