"""The page of a user's own network: what it shows, tells and writes."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from napari_scribseg.engines.brs import model_source
from napari_scribseg.engines.brs.card import ModelCard, read_card
from napari_scribseg.nets import PlainUNet, PlainUNetConfig, save_model
from napari_scribseg.widgets.segmentation.model_page import CardDialog, ModelPage


@pytest.fixture
def page(qtbot):
    page = ModelPage()
    qtbot.addWidget(page)
    page.events = []
    page.changed.connect(lambda model, trust: page.events.append((model, trust)))
    return page


@pytest.fixture
def own(tmp_path):
    """A network of this package: numbers only."""
    return str(save_model(tmp_path / "own.safetensors", PlainUNet(PlainUNetConfig(in_channels=3, channels=(4, 4)))))


@pytest.fixture
def script(tmp_path):
    """A TorchScript program."""
    path = tmp_path / "net.pt"
    torch.jit.script(torch.nn.Conv2d(1, 1, 3, padding=1)).save(str(path))
    return str(path)


def test_numbers_need_no_trust_and_a_program_does(page, own, script):
    page.choose(own)
    assert "no code is run" in page.about.text()
    assert page.trust.isHidden()
    page.choose(script)
    assert "TorchScript" in page.about.text()
    assert not page.trust.isHidden()
    page.trust.setChecked(True)
    page.choose(own)  # trust is for one network
    assert page.events == [(own, False), (script, False), (script, True), (own, False)]


def test_a_file_that_is_no_network_is_reported(page, tmp_path):
    (tmp_path / "notes.pt").write_text("not a network")
    page.choose(str(tmp_path / "notes.pt"))
    assert "is no model" in page.about.text()
    assert page.trust.isHidden()
    assert not page.card.isEnabled()


def test_a_file_is_chosen_in_a_dialog(page, own, monkeypatch):
    file, bundle = (
        next(b for b in page.findChildren(QPushButton) if b.text() == text) for text in ("File…", "Bundle…")
    )
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (own, ""))
    file.click()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: ("", ""))
    file.click()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: "")
    bundle.click()
    assert page.events == [(own, False)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(Path(own).parent))
    bundle.click()
    assert page.events[-1] == (str(Path(own).parent), False)
    assert page.about.text().startswith("⚠")  # the folder is no bundle


def test_the_card_is_written_beside_the_network(qtbot, script):
    dialog = CardDialog(script)
    qtbot.addWidget(dialog)
    dialog.fields["normalisation"].setCurrentText("range")
    dialog.fields["intensities"].setText("-200, 300")
    dialog.fields["classes"].setText("liver, spleen")
    dialog.fields["applied"].setCurrentText("yes")
    dialog.accept()
    assert dialog.result() == 1
    card = read_card(script)
    assert card == ModelCard(
        normalisation="range", intensities=(-200.0, 300.0), classes=("liver", "spleen"), applied=True
    )
    again = CardDialog(script)
    qtbot.addWidget(again)
    assert again.fields["intensities"].text() == "-200.0, 300.0"
    assert json.loads(f"[{again.fields['classes'].text()}]") == ["liver", "spleen"]
    again.accept()
    assert read_card(script) == card


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("percentiles", "99, 1", "0 <= low < high"),
        ("percentiles", "a, b", "numbers such as 0.5, 99.5 is expected"),
        ("multiple", "many", "a number is expected"),
        ("slices", "4", "an odd number"),
    ],
)
def test_what_does_not_fit_is_reported_and_nothing_is_written(qtbot, script, field, text, words):
    dialog = CardDialog(script)
    qtbot.addWidget(dialog)
    dialog.fields[field].setText(text)
    dialog.accept()
    assert words in dialog.problem.text()
    assert dialog.result() == 0
    assert read_card(script) is None


def test_networks_that_come_with_the_package_are_offered(page):
    (menu,) = page.findChildren(QMenu)
    offered = {action.text(): action for action in menu.actions()}
    assert {"nuclei-unet", "scribble-net"} <= set(offered)
    offered["nuclei-unet"].trigger()
    assert page.events == [("nuclei-unet", False)]
    assert page.about.text().startswith("nuclei-unet: comes with the package")
    assert page.trust.isHidden()


def test_a_program_is_inspected_once_until_it_changes(page, script, monkeypatch):
    opened = []
    real = zipfile.ZipFile
    monkeypatch.setattr(model_source.zipfile, "ZipFile", lambda *given: opened.append(given) or real(*given))
    for trust in (False, True, False):
        page.show_model(script, trust)
    assert len(opened) == 1
    torch.jit.script(torch.nn.Conv2d(2, 1, 3, padding=1)).save(script)
    page.show_model(script, False)
    assert len(opened) == 2
