"""What an engine shows of its fit and of what it sees goes through the session, which knows no engine."""

import numpy as np
import pytest

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError, LossCurve, Segmentation, silent


def curve(n, most=10):
    return LossCurve(np.arange(n), np.linspace(1, 0.5, n), np.full(n, np.nan), n - 1, most)


@pytest.fixture
def fitting(engines):
    """An engine with a curve; its previews and its result are as long as they are set."""

    class Fitting(engines["nearest"]):
        def segment(self, image, scribbles, state, report=silent):
            made = super().segment(image, scribbles, state)
            for n in (2, 3):
                report(n / 10, Segmentation(made.probabilities, None, curve=curve(n)))
            return Segmentation(made.probabilities, made.state, made.notes, curve=curve(8))

    return Fitting()


@pytest.fixture
def seeing(engines):
    """An engine with a picture: the image in red."""

    class Seeing(engines["nearest"]):
        prepared = 0
        shape = None
        pictures = ("redness",)

        def prepare(self, image, device="auto"):
            type(self).prepared += 1
            return super().prepare(image, device)

        def picture(self, name, state):
            red = state["image"][0] / 100
            return np.stack((red, 0 * red, 0 * red), -1)[: self.shape]

    return Seeing()


def test_updates_have_the_curve_while_and_after_a_fit(volume, fitting, painted):
    session = Session(volume, fitting)
    seen = []
    session.events.updated.connect(lambda update: seen.append((update.final, len(update.curve.steps))))
    session.draw(painted, 2)
    assert seen == [(False, 2), (False, 3), (True, 8)]
    assert len(session.results(2).curve.steps) == 8


def test_no_curve_of_an_engine_that_fits_nothing(volume, engines, painted):
    assert Session(volume, engines["nearest"]()).draw(painted, 2).result().curve is None


def test_a_curve_of_another_kind_is_refused(volume, engines, painted):
    class Lying(engines["nearest"]):
        def segment(self, image, scribbles, state, report=silent):
            made = super().segment(image, scribbles, state)
            return Segmentation(made.probabilities, made.state, curve=[1, 2])

    error = Session(volume, Lying()).draw(painted, 2).exception()
    assert isinstance(error, InputError)
    assert str(error).endswith("returned a curve of type list; a LossCurve, or None, is expected")


def test_a_picture_of_what_the_engine_sees(volume, seeing, painted):
    session = Session(volume, seeing)
    found = session.picture("redness", 3).result()
    assert found.dtype == np.float32
    assert found.shape == (12, 16, 3)
    np.testing.assert_array_equal(found[..., 0], volume.image(session.slice_index(3)).data[0] / 100)
    session.draw(painted, 3)
    session.picture("redness", 3)
    assert type(seeing).prepared == 1  # for the picture and the strokes alike
    assert session.can_undo
    session.undo()
    assert not session.can_undo  # a picture is no step


def test_there_are_no_other_pictures(volume, seeing, engines):
    session = Session(volume, seeing)
    with pytest.raises(InputError, match="'nearest' has no picture 'blueness', only redness"):
        session.picture("blueness", 3)
    session.use(engines["nearest"]())
    with pytest.raises(InputError, match="'nearest' has no picture 'redness', none with these parameters"):
        session.picture("redness", 3)


def test_a_picture_that_is_none_is_refused(volume, seeing):
    session = Session(volume, seeing)
    type(seeing).shape = 5
    failed = []
    session.events.failed.connect(lambda _slice, error: failed.append(str(error)))
    assert isinstance(session.picture("redness", 3).exception(), InputError)
    assert failed == ["the engine 'nearest' gave a picture of shape (5, 16, 3); (12, 16, 3) is expected"]
