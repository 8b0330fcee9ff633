"""Settings in napari's preferences, and windows without them."""

from types import SimpleNamespace

import pytest

from napari_scribseg.core.registry import DEFAULT_ENGINE, engine_infos
from napari_scribseg.widgets.common import preferences
from napari_scribseg.widgets.common.autosaves import autosave_folder
from napari_scribseg.widgets.segmentation import engine_panel
from napari_scribseg.widgets.segmentation.engine_panel import EnginePanel

settings = pytest.importorskip("napari.settings")
if not hasattr(settings, "get_plugin_settings"):
    pytest.skip("this napari has no settings of plugins", allow_module_level=True)


@pytest.fixture
def preferred(monkeypatch):
    """Settings as a user has made them."""
    made = SimpleNamespace(engine="cnn", device="cpu", autosave_folder="/somewhere/else")
    monkeypatch.setattr(settings, "get_plugin_settings", lambda _name: SimpleNamespace(start=made))
    monkeypatch.setattr(engine_panel, "preference", preferences.preference)
    return made


def test_the_manifest_declares_the_settings():
    from npe2 import PluginManifest

    start = PluginManifest.from_distribution("napari-scribseg").contributions.configurations["start"]
    defaults = {name: entry.default for name, entry in start.properties.items()}
    assert defaults == {"engine": DEFAULT_ENGINE, "device": "auto", "autosave_folder": ""}


def test_a_new_window_begins_with_the_preferred_engine_and_device(preferred, qtbot):
    panel = EnginePanel(engine_infos())
    qtbot.addWidget(panel)
    assert (panel.engine, panel.device) == ("cnn", "cpu")
    preferred.engine = "gone"
    again = EnginePanel(engine_infos())
    qtbot.addWidget(again)
    assert again.engine == "svcd"  # the first of the tests


def test_the_autosave_folder_is_preferred_unless_the_environment_names_one(preferred, monkeypatch, tmp_path):
    assert autosave_folder() == tmp_path / "autosave"
    monkeypatch.delenv("SCRIBSEG_AUTOSAVE")
    assert autosave_folder().as_posix() == "/somewhere/else"
    preferred.autosave_folder = ""
    assert autosave_folder().parts[-2:] == ("napari-scribseg", "autosave")


@pytest.mark.parametrize("error", [KeyError("napari-scribseg"), ImportError("an older napari")])
def test_without_settings_there_is_no_preference(monkeypatch, error):
    def fail(_name):
        raise error

    monkeypatch.setattr(settings, "get_plugin_settings", fail)
    assert preferences.preference("engine") == ""
