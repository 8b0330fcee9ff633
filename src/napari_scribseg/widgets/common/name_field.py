"""A field for the names of classes, which completes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QStringListModel, Qt
from qtpy.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QAbstractButton, QApplication, QCompleter, QLineEdit, QListView

from napari_scribseg.widgets.common.fold import window_settings

__all__ = ["COMMON_NAMES", "NameField", "split_names"]

#: Names that are proposed before the user has used any.
COMMON_NAMES = (
    *("adrenal gland", "airway", "aorta", "bladder", "bone", "bowel", "brain", "brainstem", "bronchus", "cartilage"),
    *("cerebellum", "colon", "cyst", "duodenum", "edema", "esophagus", "eye", "fat", "femur", "gallbladder"),
    *("gray matter", "heart", "hippocampus", "inferior vena cava", "left atrium", "left kidney", "left lung"),
    *("left ventricle", "lesion", "liver", "lung", "lymph node", "muscle", "myocardium", "optic nerve", "pancreas"),
    *("pelvis", "portal vein", "prostate", "rib", "right atrium", "right kidney", "right lung", "right ventricle"),
    *("sacrum", "skin", "skull", "spinal cord", "spleen", "stomach", "thyroid", "trachea", "tumor", "uterus", "vein"),
    *("ventricles", "vertebra", "vessel", "white matter"),
    *("axon", "cell", "cytoplasm", "debris", "membrane", "mitochondria", "myelin", "nucleus", "pore", "vesicle"),
)
_MOST = 60  # names of the user's own that are kept


def split_names(text: str) -> tuple[str, ...]:
    """The names in a text, separated by commas, semicolons or line breaks; each once.

    Examples
    --------
    >>> split_names(" liver, left kidney;spleen,, Liver")
    ('liver', 'left kidney', 'spleen')
    """
    names: dict[str, str] = {}
    for part in re.split(r"[,;\n\t]", text):
        name = " ".join(part.split())
        if name:
            names.setdefault(name.lower(), name)
    return tuple(names.values())


class NameField(QLineEdit):
    """A line for one name or several, separated by commas; Return enters them, Escape leaves the field."""

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText("names: liver, spleen…")
        self._completer = _LastName(self)
        self._proposals = QListView()
        self._completer.setPopup(self._proposals)
        self.setCompleter(self._completer)
        self._propose()

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the field."""
        return split_names(self.text())

    def leave(self, used: Iterable[str] = ()) -> None:
        """Empty the field and give the keyboard back; ``used`` names are proposed first from now on."""
        kept = dict.fromkeys((*used, *_used()))
        window_settings().setValue("names", "\n".join(list(kept)[:_MOST]))
        self._proposals.hide()
        self._propose()
        self.clear()
        self.clearFocus()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802  Qt's name
        """Give the list of proposals, which is a window of its own, the style of this window."""
        self._proposals.setStyleSheet(f"{self.window().styleSheet()} QListView {{ border: 1px solid gray; }}")
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Escape leaves the field; while it is empty, keys that write nothing are the viewer's."""
        if event.key() == Qt.Key.Key_Escape:
            self.leave()
        elif not self.text() and not event.text().strip():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _propose(self) -> None:
        used = _used()
        self._completer.setModel(QStringListModel([*used, *(n for n in COMMON_NAMES if n not in used)], self))


class _LastName(QCompleter):
    """Completes the name behind the last comma."""

    def __init__(self, field: NameField) -> None:
        super().__init__(field)
        self._field = field
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """A click on a button beside the list presses it; Qt alone only closes the list."""
        popup = self.popup()
        if event.type() == QEvent.Type.MouseButtonPress and watched is popup and isinstance(event, QMouseEvent):
            beside = not popup.rect().contains(event.position().toPoint())
            button = QApplication.widgetAt(event.globalPosition().toPoint()) if beside else None
            if isinstance(button, QAbstractButton):
                popup.hide()
                button.click()
                return True
        return super().eventFilter(watched, event)

    def splitPath(self, path: str) -> list[str]:  # noqa: N802  Qt's name
        """The part of the text to complete."""
        return [re.split(r"[,;]", path)[-1].lstrip()]

    def pathFromIndex(self, index: Any) -> str:  # noqa: N802  Qt's name
        """The text with a proposal in place of its last name."""
        text = self._field.text()
        last = self.splitPath(text)[0]
        return text[: len(text) - len(last)] + super().pathFromIndex(index)


def _used() -> list[str]:
    """The names that the user gave, the newest first."""
    return [name for name in str(window_settings().value("names", "") or "").split("\n") if name]
