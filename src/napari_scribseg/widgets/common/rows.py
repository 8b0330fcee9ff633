"""Widgets beside and below each other, without margins."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

__all__ = ["in_column", "in_row"]


def in_row(*parts: str | QWidget) -> QWidget:
    """Texts and fields beside each other; the fields share the room."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for part in parts:
        if isinstance(part, str):
            row.addWidget(QLabel(part))
        else:
            row.addWidget(part, 1)
    return made


def in_column(*parts: QWidget, stretch: bool = False) -> QWidget:
    """Widgets below each other; with ``stretch``, room that is left over is below them."""
    made = QWidget()
    column = QVBoxLayout(made)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for part in parts:
        column.addWidget(part)
    if stretch:
        column.addStretch(1)
    return made
