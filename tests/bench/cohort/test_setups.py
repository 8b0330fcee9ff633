"""What is compared on cohorts."""

import pytest

from napari_scribseg.bench.cohort.setups import CohortSetup, cohort_setups
from napari_scribseg.core import InputError


def test_the_plain_unet_follows_the_learning_that_it_is_compared_with():
    found = cohort_setups(["svcd"], ["none", "learning", "plain-unet"], ["queue", "random"])
    assert [str(setup) for setup in found] == [
        "svcd / none / queue", "svcd / learning / queue", "svcd / none / random", "svcd / learning / random",
        "svcd / plain-unet / drafts queue",
    ]  # fmt: skip
    assert found[-1].played == found[1]
    assert [setup.is_played for setup in found] == [True] * 4 + [False]
    assert [CohortSetup.parse(str(setup)) for setup in found] == found


@pytest.mark.parametrize(
    ("learning", "orders", "message"),
    [
        (["none"], ["middle"], "no order 'middle' of cohorts"),
        (["much"], ["queue"], "no learning 'much' of cohorts"),
        (["none", "plain-unet"], ["queue"], "accepted with learning, which was not requested"),
    ],
)
def test_names_that_there_are_not(learning, orders, message):
    with pytest.raises(InputError, match=message):
        cohort_setups(["svcd"], learning, orders)
