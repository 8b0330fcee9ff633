"""The foot of the widget: a status line, the engine's notes, and the progress of a job, always of the same height."""

from __future__ import annotations

from typing import Any

from napari.utils import progress
from psygnal import Signal
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_scribseg.core import Hint
from napari_scribseg.widgets.common.fold import Fold
from napari_scribseg.widgets.common.messages import Message, user_message

__all__ = ["StatusPanel"]

_PATIENCE_MS = 500  # jobs shorter than this show no progress bar
_STEPS = 1000  # of the bar
_GAP = 2  # pixels
_LINES = 3  # of text that have room
_LINES_OF_HINTS = 2
_LINES_OF_DETAILS = 5
_STEP_MS = 150  # between steps of the bar: each of them repaints the whole window


class StatusPanel(QWidget):
    """A status line, the engine's notes, and a progress bar with a cancel button for long jobs.

    Its height changes only with *Details*, which the user opens, so that nothing beside it moves with a message. A text
    that has no room ends with an ellipsis; it is whole in its tooltip and in the details.
    """

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.line, self.hints, self.notes = _Fitted(), _Fitted(), QLabel()
        self.hints.setStyleSheet("font-style: italic;")
        self.hints.hide()
        self.notes.setWordWrap(True)
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._chosen: tuple[str, ...] = ()  # notes that are no hints
        self._pages = QScrollArea()
        self._pages.setWidget(self.notes)
        self._pages.setWidgetResizable(True)
        self._pages.setFrameShape(QFrame.Shape.NoFrame)
        self.details = Fold(self._pages, "Details", name="details")
        self.details.setToolTip("What the engine chose by itself, and messages that have no room above")
        self.details.toggled.connect(lambda _opened: self._show_details())
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
        self._texts = QWidget()
        texts = QVBoxLayout(self._texts)
        texts.setContentsMargins(0, 0, 0, 0)
        texts.setSpacing(_GAP)
        texts.addWidget(self.line)
        texts.addWidget(self.hints)
        texts.addStretch(1)
        texts.addWidget(self.progress)
        texts.addWidget(self.details)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.setSpacing(_GAP)
        layout.addWidget(self._texts)
        layout.addWidget(self._pages)
        self._fit()

    def event(self, event: Any) -> bool:
        """Fit the texts in when the width or the font changes."""
        done = bool(super().event(event))
        if event.type() in (QEvent.Type.Resize, QEvent.Type.StyleChange, QEvent.Type.FontChange, QEvent.Type.Show):
            self._fit()
        return done

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
            self.line.setStyleSheet("font-weight: bold;" if self._message.error else "")
            self.line.show_text(f"⚠ {self._message.text}" if self._message.error else self._message.text)
            self._fit()

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """Show the choices that the engine made by itself: hints at once, the others behind *Details*."""
        hints = [note for note in notes if isinstance(note, Hint)]
        self.hints.show_text("\n".join(map(user_message, hints)))
        self.hints.setVisible(bool(hints))
        self._chosen = tuple(note for note in notes if note not in hints)
        self._fit()

    def _fit(self) -> None:
        """Give the texts what room there is."""
        height = self.line.fontMetrics().lineSpacing()
        whole = _LINES * height
        self._texts.setFixedHeight(whole + self.details.sizeHint().height() + _GAP)
        self._pages.setFixedHeight(_LINES_OF_DETAILS * height)
        room = whole
        if not self.progress.isHidden():
            room -= self.progress.sizeHint().height() + _GAP
        if not self.hints.isHidden():
            room -= self.hints.fit(min(_LINES_OF_HINTS * height, room - height)) + _GAP
        self.line.fit(max(room, height))
        self._show_details()

    def _show_details(self) -> None:
        """Show what the engine chose, and the texts that have no room."""
        cut = [label.text() for label in (self.line, self.hints) if not label.isHidden() and label.is_cut]
        text = "\n".join((*cut, *self._chosen))
        if text != self.notes.text():
            self.notes.setText(text)
        self.details.setVisible(bool(text))
        self._pages.setVisible(bool(text) and self.details.isChecked())

    def show_busy(self, busy: bool) -> None:
        """Show the progress bar after a while, or hide it."""
        if not busy:
            self._patience.stop()
            self._steps.stop()
            self.progress.hide()
            self._fit()
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
        self._fit()
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


class _Fitted(QLabel):
    """A text on the lines that it is given; if it needs more, it ends with an ellipsis, and is whole in the tooltip."""

    def __init__(self) -> None:
        super().__init__("")
        self._whole = ""
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def text(self) -> str:
        """The whole text."""
        return self._whole

    @property
    def is_cut(self) -> bool:
        """Whether the text has no room."""
        return super().text() != self._whole

    def show_text(self, text: str) -> None:
        """Show a text; :meth:`fit` gives it room."""
        self._whole = text
        super().setText(text)

    def fit(self, most: int) -> int:
        """Take the height that the text needs, at most ``most`` pixels; returns it."""
        self.setMinimumHeight(0)  # Qt's answer is never less than the least height
        super().setText(self._whole)
        if self._needed() > most:
            self._shorten(most)
        self.setToolTip(self._whole if self.is_cut else "")
        height = self._needed() if self._whole else 0
        self.setFixedHeight(height)
        return height

    def _shorten(self, most: int) -> None:
        """Show as much of the beginning as has room."""
        fits, long = 0, len(self._whole)
        while long - fits > 1:
            middle = (fits + long) // 2
            super().setText(f"{self._whole[:middle].rstrip()}…")
            fits, long = (middle, long) if self._needed() <= most else (fits, middle)
        super().setText(f"{self._whole[:fits].rstrip()}…")

    def _needed(self) -> int:
        return self.heightForWidth(self.width())
