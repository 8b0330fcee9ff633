import pytest

from napari_scribseg.bench.methods import ALL_PEERS, parse_method, warm_up
from napari_scribseg.bench.peers import PEERS, Peer, peer_class
from napari_scribseg.core import InputError


def test_an_engine_by_name():
    method = parse_method("svcd")
    assert (method.name, method.peer, method.engine.info.name) == ("svcd", False, "svcd")
    assert parse_method("svcd:model=paper,smoothness=3").engine.smoothness == 3


def test_a_peer_with_parameters_keeps_the_name_it_was_given():
    method = parse_method("random-walker:beta=5000")
    assert (method.name, method.peer, method.engine.beta) == ("random-walker:beta=5000", True, 5000.0)
    assert parse_method("random-walker").engine.beta == 130.0


def test_the_random_walker_stands_there_with_two_betas():
    betas = [parse_method(name).engine.beta for name in ALL_PEERS if name.startswith("random-walker")]
    assert len(set(betas)) == 2
    assert {name.split(":")[0] for name in ALL_PEERS} == set(PEERS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("svdc", "there is no engine or peer 'svdc'; expected one of .*svcd"),
        ("", "there is no engine or peer ''"),
        ("watershed:beta=3", "'watershed' has no parameter 'beta'"),
        ("random-walker:beta", "the parameter 'beta' has no '='"),
        ("random-walker:beta=much", "beta is 'much'"),
        ("random-walker:beta=-1", "beta is -1.0; expected 0 to 1e"),
        ("graph-cut:smoothness=nan", "smoothness is nan; a finite number is expected"),
        ("geodesic:edge_cost=inf", "edge_cost is inf; a finite number is expected"),
        ("grabcut:iterations=0", "iterations is 0; expected 1 to 20"),
        ("grabcut:iterations=1.5", "iterations is '1.5'"),
        ("svcd:smoothness=-1", "smoothness is -1"),
    ],
)
def test_what_cannot_be_read_is_reported(text, message):
    with pytest.raises(InputError, match=message) as raised:
        parse_method(text)
    assert len(str(raised.value).splitlines()) == 1


def test_a_peer_whose_library_is_missing_states_what_to_install(monkeypatch):
    monkeypatch.setitem(PEERS, "grabcut", Peer("cuts:GrabCut", "no_such_module"))
    assert not PEERS["grabcut"].installed
    with pytest.raises(
        InputError, match=r"needs no_such_module; install it with: pip install 'napari-scribseg\[bench\]'"
    ):
        parse_method("grabcut")
    with pytest.raises(InputError, match="there is no peer 'grab'"):
        peer_class("grab")


def test_warming_up_segments_grey_and_colour(toy):
    requested = []

    def think(image, scribbles):
        requested.append(image.data.shape[0])
        return scribbles.seeds.clip(0)

    method = toy(think)
    warm_up(method, "cpu")
    assert requested == [1, 3]
    assert [call[1] for call in method.engine.calls if call[0] == "prepare"] == ["cpu", "cpu"]
