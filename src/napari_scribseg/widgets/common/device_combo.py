"""The choice of the device that computes, the same in both windows."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QComboBox

from napari_scribseg.numerics.device import DEVICES
from napari_scribseg.widgets.common.combos import choose_data, compact_combo
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.preferences import preference

__all__ = ["device_combo", "find_device", "show_auto"]


def device_combo() -> QComboBox:
    """The devices; chosen is the one of napari's preferences."""
    combo = compact_combo((device, device) for device in DEVICES)
    combo.setToolTip(
        "Where networks compute: on a graphics card (cuda, mps) or the processor (cpu); auto takes the best"
    )
    choose_data(combo, preference("device"))
    return combo


def show_auto(combo: QComboBox, found: str) -> None:
    """Show which device "auto" stands for."""
    combo.setItemText(0, f"auto: {found}")


def find_device(dispatcher: Dispatcher, found: Callable[[str], object]) -> None:
    """Find the device that ``auto`` stands for on this computer."""

    def choose() -> str:
        from napari_scribseg.numerics.device import choose_device

        return choose_device("auto")

    dispatcher.aside(choose, found, lambda error: found(f"unknown ({error})"))
