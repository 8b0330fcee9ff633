"""The dialog that asks where to save labels: the format that is chosen there is the one that is written."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QFileInfo
from qtpy.QtWidgets import QFileDialog, QLineEdit, QWidget

from napari_scribseg.io.formats import Format, Keeps, extension, formats, label_extensions

__all__ = ["SaveDialog", "label_formats", "labels_path"]

_PARTS = (".seg", ".ome", ".nii")  # of double extensions, that stay where only the last part is replaced


def label_formats(n_axes: int) -> dict[str, Format]:
    """The formats that can hold labels of so many axes, by their text in the dialog.

    Those that keep names and colours in the file come first.
    """
    able = [entry for entry in formats() if entry.write and (n_axes < 4 or Keeps.TIME in entry.keeps)]
    able.sort(key=lambda entry: Keeps.CLASSES not in entry.keeps)
    return {_text(entry): entry for entry in able}


def _text(entry: Format) -> str:
    kept = "keeps names and colours" if Keeps.CLASSES in entry.keeps else "names and colours in a table beside it"
    return f"{entry.name}, {kept} ({' '.join(f'*{ending}' for ending in entry.extensions)})"


def labels_path(named: Path, kind: Format, proposed: Path) -> Path:
    """The file to write for a name in the dialog and the format chosen there.

    An extension that the user gave counts, the proposed one does not, and of several the chosen format's does.

    Parameters
    ----------
    named : Path
        As the dialog returns it.
    kind : Format
        The chosen format.
    proposed : Path
        The name that the dialog began with.

    Examples
    --------
    >>> nifti = label_formats(3)["NIfTI, names and colours in a table beside it (*.nii.gz *.nii)"]
    >>> for name in ("a", "a.seg.nrrd", "a.mha"):
    ...     print(labels_path(Path(name), nifti, Path("a.seg.nrrd")))
    a.nii.gz
    a.nii.gz
    a.mha
    """
    ending, bare = extension(named), _without_extensions(named.name)
    given = ending if ending in label_extensions() and len(bare) + len(ending) == len(named.name) else ""
    if given in kind.extensions or (given and given != extension(proposed)):
        return named
    return named.with_name(f"{bare}{kind.extensions[0]}")


def _without_extensions(name: str) -> str:
    """A name without the extensions of label volumes at its end, also where a dialog has replaced a part of one."""
    endings = (*sorted(label_extensions(), key=len, reverse=True), ".gz")

    def last(bare: str) -> str:
        possible = (*endings, *(_PARTS if bare != name else ()))
        return next((e for e in possible if bare.lower().endswith(e) and len(e) < len(bare)), "")

    bare = name
    while ending := last(bare):
        bare = bare[: -len(ending)]
    return bare


class SaveDialog(QFileDialog):
    """A dialog for the file of a label volume; the name gets the extension of the format that is chosen.

    Qt's own dialog replaces only the last part of an extension, and dialogs of the system replace none, or any.

    Parameters
    ----------
    parent : QWidget or None
    proposed : Path
        The file to begin with; its format is chosen at first.
    n_axes : int
        Of the label volume.
    """

    def __init__(self, parent: QWidget | None, proposed: Path, n_axes: int = 3) -> None:
        super().__init__(parent, "Save labels", str(proposed.parent))
        self._proposed = proposed
        self._kinds = label_formats(n_axes)
        self._texts = ["", ""]  # of the field of the name: the one before, and the present one
        self.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        self.setFileMode(QFileDialog.FileMode.AnyFile)
        self.setNameFilters(list(self._kinds))
        first = next((text for text, kind in self._kinds.items() if extension(proposed) in kind.extensions), None)
        if first is not None:
            self.selectNameFilter(first)
        self.selectFile(proposed.name)
        field = self.findChild(QLineEdit)  # none in a dialog of the system
        if field is not None:
            self._texts = ["", field.text()]
            field.textChanged.connect(self._on_text)
            field.textEdited.connect(self._on_typed)
        self.filterSelected.connect(self._on_kind)

    @property
    def path(self) -> Path | None:
        """The file to write; None if none is named."""
        named = self.selectedFiles()
        kind = self._kinds.get(self.selectedNameFilter(), next(iter(self._kinds.values())))
        return labels_path(Path(named[0]), kind, self._proposed) if named and Path(named[0]).name else None

    def _on_text(self, text: str) -> None:
        self._texts = [self._texts[1], text]

    def _on_typed(self, text: str) -> None:
        self._texts = [text, text]

    def _on_kind(self, chosen: str) -> None:
        """Give the name the extension of the format that was chosen."""
        field, kind = self.findChild(QLineEdit), self._kinds.get(chosen)
        if kind is None:
            return
        if field is None:
            self.selectFile(f"{_without_extensions(self._proposed.name)}{kind.extensions[0]}")
            return
        former, name = self._texts
        last = QFileInfo(former).suffix()
        if last and name == f"{former[: -len(last)]}{QFileInfo(kind.extensions[0]).suffix()}":
            name = former  # Qt has replaced what follows the last dot, which need not be an extension
        if name:
            field.setText(f"{_without_extensions(name)}{kind.extensions[0]}")
