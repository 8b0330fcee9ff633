"""A picture without a scale: sizes in pixels, and nothing in the window that is for several slices."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget


@pytest.fixture
def widget(qtbot, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 50), np.float32), name="cells")
    viewer.add_image(np.zeros((4, 40, 50), np.float32), name="ct", units=("mm",) * 3)
    viewer.add_image(np.zeros((5, 40, 50), np.float32), name="stack")
    widget = SegmentationWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    yield widget
    widget.end_all()


def begin(widget, name):
    combo = widget.images.image_combo
    combo.setCurrentIndex(combo.findText(name))
    widget.start()


def choose_tool(widget, title):
    combo = widget.edits.tool_combo
    combo.setCurrentIndex(combo.findText(title))


def names(widget, title):
    """What is before the fields of a tool, with its tooltip."""
    choose_tool(widget, title)
    form = widget.edits.form
    shown = [form._names[name] for name in form if not form._names[name].isHidden()]
    return [label.text() for label in shown], " ".join(label.toolTip() for label in shown)


@pytest.mark.parametrize(("image", "unit"), [("cells", "pixels"), ("stack", "voxels")])
def test_sizes_are_counted_in_what_the_image_has(widget, image, unit):
    begin(widget, image)
    texts, tips = names(widget, "Smooth edges")
    assert f"size ({unit})" in texts
    assert "mm" not in tips.split()
    assert names(widget, "Grow")[0] == [f"distance ({unit})"]
    for title in ("Remove small parts", "Fill holes"):
        assert "unit" not in names(widget, title)[0]
        assert widget.edits.request.parameters["unit"] == "voxels"
    choose_tool(widget, "Remove small parts")
    assert widget.edits.request.parameters["size"] == 50
    begin(widget, "ct")
    assert names(widget, "Grow")[0] == ["distance (mm)"]
    assert "unit" in names(widget, "Remove small parts")[0]
    assert "unit" not in widget.edits.request.parameters  # ml
    assert "size" not in widget.edits.request.parameters  # 0.5


def test_nothing_is_shown_that_is_for_several_slices(widget):
    def for_slices():
        lists, slices, edits = widget.slice_list, widget.slices, widget.edits
        return (
            *(lists.view, lists.work, lists.buttons["next_open"], lists.buttons["previous_open"]),
            *(slices.buttons["propagate"], slices.count_box, edits.scope_combo, edits.each_slice),
            *(widget.display.slices_combo, widget.display.radiological_box),
        )

    begin(widget, "ct")
    assert not any(each.isHidden() for each in for_slices()[:-1])
    begin(widget, "cells")
    assert all(each.isHidden() for each in for_slices())
    assert not widget.slice_list.buttons["uncertain"].isHidden()
    begin(widget, "ct")
    assert not any(each.isHidden() for each in for_slices()[:-1])


@pytest.mark.parametrize(("count", "text"), [(1, "1 slice"), (-1, "-1 slice"), (2, "2 slices"), (5, "5 slices")])
def test_one_slice_is_one(widget, count, text):
    widget.slices.count_box.setValue(count)
    assert widget.slices.count_box.text() == text
