import numpy as np
import pytest

from napari_scribseg.core import InputError, LossCurve

STEPS = np.array([0, 5, 10])
TRAINING = np.array([1.0, 0.5, 0.25])
VALIDATION = np.array([1.1, 0.6, 0.7])


def test_it_describes_where_it_stopped():
    curve = LossCurve(STEPS, TRAINING, VALIDATION, 5, 100)
    assert curve.ended_early
    assert curve.describe() == "kept the weights of step 5 of 10, loss 0.5 at the strokes, 0.6 at those held back"
    assert not LossCurve(STEPS, TRAINING, VALIDATION, 5, 10).ended_early


def test_no_validation_loss_is_described_without_validation():
    curve = LossCurve(STEPS, TRAINING, np.full(3, np.nan), 10, 10)
    assert curve.describe() == "kept the weights of step 10 of 10, loss 0.25 at the strokes"


@pytest.mark.parametrize(
    ("columns", "kept", "message"),
    [
        ((STEPS, TRAINING[:2], VALIDATION), 5, "have the shapes"),
        ((STEPS[:0], TRAINING[:0], VALIDATION[:0]), 5, "have the shapes"),
        ((STEPS[None], TRAINING[None], VALIDATION[None]), 5, "have the shapes"),
        ((STEPS[::-1], TRAINING, VALIDATION), 5, "do not ascend"),
        ((STEPS, TRAINING, VALIDATION), 6, "not among them"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, kept, message):
    with pytest.raises(InputError, match=message):
        LossCurve(*columns, kept, 100)
