import pytest

from napari_scribseg.datasets import HELD_OUT, HELD_OUT_SOURCES, held_out, open_data_set, without_held_out


def test_the_lists_are_of_the_size_that_figures_are_measured_on():
    assert {name: len(set(cases)) for name, cases in HELD_OUT.items()} == {"msd_hippocampus": 20, "dsb2018_nuclei": 40}
    assert HELD_OUT_SOURCES == ("fundus_hrf_vessel",)


def test_cases_and_whole_sources_are_held_out():
    assert held_out("msd_hippocampus", "hippocampus_006")
    assert not held_out("msd_hippocampus", "hippocampus_001")
    assert not held_out("dsb2018_nuclei", "hippocampus_006")
    for data_set in ("permissive_slices", "permissive_slices/fundus_hrf_vessel"):
        assert held_out(data_set, "fundus_hrf_vessel/01_h")
        assert not held_out(data_set, "fundus_fives/1_A")


@pytest.mark.parametrize("name", [*HELD_OUT, "permissive_slices"])
def test_the_real_sets_hold_what_is_listed_and_lose_just_that(name, shared_data):
    if not (shared_data / name).is_dir():
        pytest.skip(f"{shared_data} does not hold {name}")
    whole = open_data_set(name, shared_data)
    kept = without_held_out(whole)
    lost = set(whole.cases) - set(kept.cases)
    if name in HELD_OUT:
        assert lost == set(HELD_OUT[name])
    else:
        assert lost
        assert {case.partition("/")[0] for case in lost} == set(HELD_OUT_SOURCES)
    assert kept.load(kept.cases[0]).name == kept.cases[0]
