"""A heading that shows and hides a widget."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QWidget

__all__ = ["Fold"]


class Fold(QToolButton):
    """A button with an arrow; the widget is visible while it is checked."""

    def __init__(self, content: QWidget, text: str = "", *, opened: bool = False) -> None:
        super().__init__()
        self._content = content
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(opened)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggled.connect(self._on_toggled)
        self._on_toggled(opened)

    def _on_toggled(self, opened: bool) -> None:
        self.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._content.setVisible(opened)
