import pytest

from napari_scribseg.core import (
    Engine,
    LoadsModels,
    PredictsUnprompted,
    SeesNeighbours,
    ShowsFeatures,
    engine_names,
    get_engine,
    pictures_of,
)

NETWORKS = {"brs", "f-brs"}
HAVING = {
    PredictsUnprompted: NETWORKS,
    SeesNeighbours: NETWORKS,
    LoadsModels: NETWORKS,
    ShowsFeatures: {"svcd", "pwn", "cnn", "cnn-reg", "unet-single", "coarse-to-fine"},
}


@pytest.mark.parametrize("protocol", HAVING)
def test_what_each_engine_can_do(protocol):
    assert {name for name in engine_names() if isinstance(get_engine(name), protocol)} == HAVING[protocol]


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_is_an_engine(name):
    assert isinstance(get_engine(name), Engine)


def test_pictures_depend_on_the_parameters():
    assert pictures_of(get_engine("brs")) == pictures_of(get_engine("svcd")) == ()
    assert pictures_of(get_engine("svcd", features="colour+semantic")) == ("semantic features",)
