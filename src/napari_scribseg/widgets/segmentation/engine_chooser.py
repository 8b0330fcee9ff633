"""The list of engines in groups, each with what it is for, what it needs, and how long it took on this computer."""

from __future__ import annotations

from statistics import median

from psygnal import Signal
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QFont, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QLabel, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from napari_scribseg.core.engine import ENGINE_GROUPS, EngineInfo
from napari_scribseg.core.registry import DEFAULT_ENGINE
from napari_scribseg.widgets.common.combos import compact_combo
from napari_scribseg.widgets.common.fold import window_settings

__all__ = ["EngineChooser", "duration_text"]

_NAME, _ABOUT = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
_LINE = "\N{LINE SEPARATOR}"
_KEPT = 5  # durations of an engine, of which the median is shown


class EngineChooser(QWidget):
    """A combo box with groups, and a line below it about the chosen engine; ``changed`` carries a name.

    Parameters
    ----------
    infos : dict of str to EngineInfo
        The engines by name.
    """

    changed = Signal(str)

    def __init__(self, infos: dict[str, EngineInfo]) -> None:
        super().__init__()
        self._infos = infos
        self.combo = compact_combo()
        self.combo.setModel(_model(infos))
        self.combo.setItemDelegate(_TwoLines(self.combo))
        self.combo.setMaxVisibleItems(30)
        widest = max((self._width(index) for index in range(self.combo.count())), default=0)
        self.combo.view().setMinimumWidth(widest)
        self.about = QLabel()
        self.about.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addWidget(self.about)
        self.choose(DEFAULT_ENGINE)
        self.combo.currentIndexChanged.connect(self._on_index)

    @property
    def engine(self) -> str:
        """Registered name of the chosen engine; empty if there is none."""
        return self.combo.currentData() or ""

    def choose(self, name: str) -> None:
        """Choose an engine, the first one if there is none of this name; no signal is sent."""
        self.combo.blockSignals(True)
        first = next((i for i in range(self.combo.count()) if self.combo.itemData(i)), -1)
        found = self.combo.findData(name)
        self.combo.setCurrentIndex(found if found >= 0 else first)
        self.combo.blockSignals(False)
        self._show_about()

    def show_duration(self, name: str, seconds: float, shape: tuple[int, int]) -> None:
        """Keep how long an engine took for a result of shape (H, W); another shape begins anew."""
        size = f"{shape[1]} x {shape[0]}"
        former, durations = _durations(name)
        kept = [*(durations if former == size else ()), seconds][-_KEPT:]
        window_settings().setValue(f"seconds/{name}", ",".join((size, *(f"{value:.3g}" for value in kept))))
        index = self.combo.findData(name)
        if index >= 0:
            self.combo.setItemData(index, _about(self._infos[name]), _ABOUT)
        if name == self.engine:
            self._show_about()

    def _on_index(self, _index: int) -> None:
        self._show_about()
        self.changed.emit(self.engine)

    def _show_about(self) -> None:
        text = self.combo.currentData(_ABOUT) or ""
        if text != self.about.text():  # any change beside the canvas repaints the whole window
            self.about.setText(text)
        if self.engine:
            self.combo.setToolTip(self._infos[self.engine].title)

    def _width(self, index: int) -> int:
        texts = (self.combo.itemText(index), *str(self.combo.itemData(index, _ABOUT) or "").split("\n"))
        return max(self.combo.fontMetrics().horizontalAdvance(text) for text in texts) + 80


class _TwoLines(QStyledItemDelegate):
    """Shows what an engine is for below its name; the closed combo box has the name alone."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:  # type: ignore[override]  # noqa: N802
        super().initStyleOption(option, index)
        about = index.data(_ABOUT)
        if about:
            option.text = f"{_LINE}      ".join((option.text, *about.split("\n")))


def duration_text(size: str, durations: list[float]) -> str:
    """How long results of an image size took, as a text.

    Examples
    --------
    >>> duration_text("512 x 512", [0.62, 0.58, 2.0])
    'takes 0.62 s here at 512 x 512'
    >>> duration_text("", [])
    'not yet measured here'
    """
    return f"takes {median(durations):.2g} s here at {size}" if durations else "not yet measured here"


def _durations(name: str) -> tuple[str, list[float]]:
    """The image size at which an engine was used last on this computer, and how long it took, the newest last."""
    size, *values = str(window_settings().value(f"seconds/{name}", "") or "").split(",")
    try:
        return (size, [float(value) for value in values]) if " x " in size else ("", [])
    except ValueError:  # a file that somebody else wrote
        return "", []


def _about(info: EngineInfo) -> str:
    return f"{info.summary}\nNeeds {info.needed}; {duration_text(*_durations(info.name))}."


def _model(infos: dict[str, EngineInfo]) -> QStandardItemModel:
    """A heading for each group, which cannot be chosen, and below it the group's engines."""
    model = QStandardItemModel()
    others = sorted({info.group for info in infos.values()} - set(ENGINE_GROUPS))
    for group in (*ENGINE_GROUPS, *others):
        engines = {name: info for name, info in infos.items() if info.group == group}
        if not engines:
            continue
        heading = QStandardItem(group)
        heading.setFlags(Qt.ItemFlag.NoItemFlags)
        font = QFont()
        font.setBold(True)
        heading.setFont(font)
        model.appendRow(heading)
        for name in sorted(engines, key=lambda name: name != DEFAULT_ENGINE):
            item = QStandardItem(infos[name].title.split(" (")[0])
            item.setData(name, _NAME)
            item.setData(_about(infos[name]), _ABOUT)
            model.appendRow(item)
    return model
