import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from napari_scribseg import InputError, engine_names, get_engine
from napari_scribseg.core import registry


@pytest.fixture
def registered(monkeypatch):
    """Entry points chosen by the test."""

    def register(*points):
        registry.registered_engines.cache_clear()
        monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint(n, v, group) for n, v in points])

    yield register
    registry.registered_engines.cache_clear()


def test_svcd_is_registered():
    assert "svcd" in engine_names()
    assert get_engine("svcd").info.name == "svcd"


def test_unknown_name_lists_the_others_and_a_guess():
    with pytest.raises(InputError, match="expected one of .*svcd.*did you mean 'svcd'"):
        get_engine("svdc")


def test_unknown_parameter_lists_the_others():
    with pytest.raises(InputError, match="has no parameter smoothnes; it has .*smoothness"):
        get_engine("svcd", smoothnes=3)


def test_a_broken_engine_warns_and_the_others_stay(registered):
    registered(("broken", "no_such_module_anywhere:Engine"), ("svcd", "napari_scribseg.engines.svcd:SVCD"))
    with pytest.warns(RuntimeWarning, match="'broken'.*does not load"):
        infos = registry.engine_infos()
    assert list(infos) == ["svcd"]


def test_what_is_no_engine_is_refused(registered):
    registered(("odd", "json:loads"))
    with pytest.raises(InputError, match="not a dataclass with an EngineInfo"):
        get_engine("odd")


def test_of_two_with_one_name_the_first_stays(registered):
    registered(("svcd", "napari_scribseg.engines.svcd:SVCD"), ("svcd", "json:loads"))
    with pytest.warns(RuntimeWarning, match="two engines are registered as 'svcd'"):
        assert registry.engine_class("svcd").__name__ == "SVCD"


def test_importing_and_listing_load_neither_torch_nor_qt():
    code = (
        "import sys, napari_scribseg as n\n"
        "n.Image, n.Scribbles, n.engine_names()\n"
        "from napari_scribseg.core import engine_infos\n"
        "assert engine_infos()['svcd'].title\n"
        "heavy = {'torch', 'numba', 'qtpy', 'PySide6', 'napari', 'SimpleITK', 'nibabel'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
