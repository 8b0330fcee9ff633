"""Headings that show and hide what is below them, and open next time as they were left."""

from __future__ import annotations

from qtpy.QtCore import QSettings, QSize, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ["Fold", "Section", "Sections", "window_settings"]


_HEIGHT, _LOWEST = 240, 80  # pixels that the sections of a window ask for, and have at least


def window_settings() -> QSettings:
    """What the windows keep from one time to the next: an .ini file in the user's folder of settings."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-scribseg", "window")


class Fold(QToolButton):
    """A button with an arrow; the widget is visible while it is checked.

    Parameters
    ----------
    content : QWidget
        What is shown and hidden.
    text : str
        On the button.
    opened : bool
        Whether it is open the first time.
    name : str
        Under which it is kept whether it is open; empty: it is not kept.
    """

    def __init__(self, content: QWidget, text: str = "", *, opened: bool = False, name: str = "") -> None:
        super().__init__()
        self._content = content
        self._name = f"open/{name}" if name else ""
        if name:
            opened = str(window_settings().value(self._name, opened)).lower() == "true"
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(opened)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._show(opened)
        self.toggled.connect(self._on_toggled)

    def _on_toggled(self, opened: bool) -> None:
        self._show(opened)
        if self._name:
            window_settings().setValue(self._name, opened)

    def _show(self, opened: bool) -> None:
        self.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._content.setVisible(opened)


class Section(QWidget):
    """A panel below a heading that folds it.

    Parameters
    ----------
    title : str
        On the heading.
    panel : QWidget
        The panel.
    name : str
        Under which it is kept whether the section is open, such as ``"segmentation/classes"``.
    opened : bool
        Whether it is open the first time.
    beside : QWidget, optional
        A button in the row of the heading, in sight also while the section is folded.

    Attributes
    ----------
    fold : Fold
        The heading.
    """

    def __init__(
        self, title: str, panel: QWidget, name: str, *, opened: bool = True, beside: QWidget | None = None
    ) -> None:
        super().__init__()
        self.fold = Fold(panel, title, opened=opened, name=name)
        self.fold.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.fold.setStyleSheet("font-weight: bold;")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        row = QHBoxLayout()
        row.addWidget(self.fold, 1)
        if beside is not None:
            row.addWidget(beside)
        column.addLayout(row)
        column.addWidget(panel)


class Sections(QScrollArea):
    """Sections below each other in an area that scrolls up and down, never to the side.

    Parameters
    ----------
    width : int
        Least width in pixels; panels that need more get more.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self._inside = QWidget()
        self._column = QVBoxLayout(self._inside)
        self._column.setContentsMargins(4, 4, 4, 4)
        self._column.setSpacing(4)
        self._column.addStretch(1)
        self.setWidget(self._inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(_LOWEST)

    def add(self, widget: QWidget) -> None:
        """Add a section, or another widget, below the others."""
        self._column.insertWidget(self._column.count() - 1, widget)
        bar = self.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(max(self._inside.minimumSizeHint().width() + bar, self._width))

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Less than all sections need, so that two docks fit below each other."""
        return QSize(self.minimumWidth(), _HEIGHT)

    def reveal(self, panel: QWidget) -> None:
        """Open the section of a panel, and scroll to it."""
        around = panel.parentWidget()
        while around is not None and around is not self:
            if isinstance(around, Section):
                around.fold.setChecked(True)
            around = around.parentWidget()
        self._inside.adjustSize()
        self.ensureWidgetVisible(panel)
