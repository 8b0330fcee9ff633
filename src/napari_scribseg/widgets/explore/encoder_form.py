"""The form of the encoder: which network describes the segments, and what it is shown."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QInputDialog, QWidget

__all__ = ["EncoderForm"]

_VIEWS = {"in their image": "maps", "by themselves": "crops"}
_FILE, _TIMM = "a file", "a timm model"  # need a name
_SUGGESTED = "hrnet_w18_small.gluon_in1k"  # that of the paper
_FILES = "Networks of this package (*.safetensors)"


class EncoderForm(QWidget):
    """Two choosers; ``chosen`` with the view and the network, as ``Workspace.use_encoder`` takes them."""

    chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ("maps", "")
        self.view, self.network = QComboBox(), QComboBox()
        for text, data in _VIEWS.items():
            self.view.addItem(text, data)
        self.view.setToolTip(
            "How segments are compared: the network is shown each image once, which is quick; or, as in the paper, "
            "each segment by itself (maps or crops of the encoder)"
        )
        self.network.setToolTip(
            "The network that compares segments (the encoder): the one of this package, a .safetensors file of this "
            "package, or a model of timm, whose weights are downloaded once"
        )
        for combo in (self.view, self.network):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(8)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.view, 1)
        row.addWidget(self.network, 1)
        self.show_encoder(*self._shown)
        self.view.activated.connect(lambda _i: self._choose(self.view.currentData(), self._shown[1]))
        self.network.activated.connect(lambda _i: self._on_network())

    def show_encoder(self, view: str, backbone: str) -> None:
        """Show the present encoder, without a signal."""
        self._shown = (view, backbone)
        self.view.setCurrentIndex(max(self.view.findData(view), 0))
        self.network.clear()
        self.network.addItem("shipped network", "")
        if backbone:
            self.network.addItem(Path(backbone).name if backbone.endswith(".safetensors") else backbone, backbone)
        self.network.addItem("a file…", (_FILE,))
        if find_spec("timm") is not None:
            self.network.addItem("a timm model…", (_TIMM,))
        self.network.setCurrentIndex(1 if backbone else 0)

    def _on_network(self) -> None:
        wanted = self.network.currentData()
        if wanted == (_FILE,):
            start = str(Path(self._shown[1]).parent) if self._shown[1] else str(Path.home())
            wanted, _ = QFileDialog.getOpenFileName(self, "A network of this package", start, _FILES)
        elif wanted == (_TIMM,):
            wanted, accepted = QInputDialog.getText(self, "A timm model", "Its name:", text=_SUGGESTED)
            wanted = str(wanted).strip() if accepted else ""
        elif wanted == "":
            self._choose(self._shown[0], "")
            return
        if wanted:
            self._choose(self._shown[0], str(wanted))
        else:
            self.show_encoder(*self._shown)

    def _choose(self, view: str, backbone: str) -> None:
        if (view, backbone) != self._shown:
            former = self._shown
            self.show_encoder(*former)  # until it is loaded
            self.chosen.emit(view, backbone)
