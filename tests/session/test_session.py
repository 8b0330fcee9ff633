"""Drawing, undo, locks and overlap, everything in one thread."""

import numpy as np
import pytest

from napari_scribseg.core import ClassTable, InputError, LabelClass, Scribbles
from napari_scribseg.session.session import Session
from napari_scribseg.session.volume import Plane, Volume


@pytest.fixture
def session(volume, engines):
    return Session(volume, engines["nearest"]())


def test_a_stroke_becomes_labels(session, painted, steps):
    seen = []
    session.updated.connect(seen.append)
    update = session.draw(painted, 2).result()
    assert update.final
    assert [u.final for u in seen] == [False, True]
    assert (session.labels[2] == np.where(steps[2] > 50, 2, 1)).all()
    assert not session.labels[[0, 1, 3, 4, 5]].any()
    assert (session.painted(2) == painted).all()
    assert update.notes == ("took the nearest",)
    assert session.results(2) is update


def test_undo_and_redo_take_strokes_and_output_together(session, painted):
    session.draw(painted, 2)
    once = session.labels.copy()
    more = painted.copy()
    more[0, 8:12] = 3
    session.draw(more, 2)
    twice = session.labels.copy()
    seen = []
    session.restored.connect(seen.append)
    assert session.undo()
    assert (session.labels == once).all()
    assert (session.painted(2) == painted).all()
    assert (seen[-1].painted == painted).all()
    assert (seen[-1].labels == once[2]).all()
    assert session.undo()
    assert not session.labels.any()
    assert not session.painted(2).any()
    assert not session.can_undo
    assert not session.undo()
    assert session.redo()
    assert (session.labels == once).all()
    assert session.redo()
    assert (session.labels == twice).all()
    assert (session.painted(2) == more).all()
    assert not session.redo()
