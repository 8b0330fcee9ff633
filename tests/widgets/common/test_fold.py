"""Sections fold, and are next time as they were left."""

import pytest
from qtpy.QtWidgets import QLabel, QPushButton

from napari_scribseg.widgets.common.fold import Fold, Section, Sections


def section(name="test/one", *, opened=True):
    panel = QLabel("the panel")
    return Section("One", panel, name, opened=opened), panel


def test_a_section_folds_its_panel(qtbot):
    made, panel = section()
    qtbot.addWidget(made)
    made.show()
    assert panel.isVisible()
    made.fold.click()
    assert not panel.isVisible()
    made.fold.click()
    assert panel.isVisible()


@pytest.mark.parametrize("opened", [True, False])
def test_a_section_opens_as_it_was_left(qtbot, opened):
    first, _ = section(opened=opened)
    qtbot.addWidget(first)
    assert first.fold.isChecked() == opened
    first.fold.click()
    again, panel = section(opened=opened)
    qtbot.addWidget(again)
    assert again.fold.isChecked() != opened
    assert panel.isHidden() == opened
    other, _ = section("test/other", opened=opened)
    qtbot.addWidget(other)
    assert other.fold.isChecked() == opened


def test_a_heading_without_a_name_is_not_kept(qtbot):
    for _ in range(2):
        panel = QLabel()
        qtbot.addWidget(panel)
        fold = Fold(panel, "More")
        qtbot.addWidget(fold)
        assert not fold.isChecked()
        fold.click()


def test_a_panel_is_revealed(qtbot):
    area = Sections(200)
    qtbot.addWidget(area)
    panels = [QPushButton(f"panel {n}") for n in range(12)]
    for n, panel in enumerate(panels):
        area.add(Section(f"Section {n}", panel, f"test/{n}", opened=n != 11))
    area.resize(220, 150)
    area.show()
    assert not panels[11].isVisible()
    area.reveal(panels[11])
    assert panels[11].isVisible()
    assert area.viewport().rect().contains(panels[11].mapTo(area.viewport(), panels[11].rect().center()))


def test_a_wide_panel_widens_the_area_instead_of_being_cut(qtbot):
    area = Sections(100)
    qtbot.addWidget(area)
    panel = QPushButton("a button with a long text that needs room")
    area.add(Section("Wide", panel, "test/wide"))
    assert area.minimumWidth() > panel.minimumSizeHint().width()
