"""The session with the real engine."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_scribseg.annotate import Inbox, Session
from napari_scribseg.core import ClassTable, Source

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def scene():
    """A disc in noise, and strokes for it, on four slices of 48x56."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :56]
    mask = (y - 24) ** 2 + (x - 28) ** 2 < 14**2
    volume = np.where(mask, 160, 60) + rng.normal(0, 12, (4, 48, 56))
    strokes = np.zeros((48, 56), np.uint8)
    strokes[3:6, 5:50] = 1
    strokes[22:26, 20:36] = 2
    return Source.from_array(volume.astype(np.int16), spacing=(2.0, 1.0, 1.0)), mask, strokes


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_paint_correct_propagate_save_replay(scene, tmp_path):
    volume, mask, strokes = scene
    inbox, previews = Inbox(), []
    with ThreadPoolExecutor(1) as executor:
        classes = ClassTable.from_ids([1, 2], background=1)
        session = Session(volume, "svcd", classes=classes, executor=executor, deliver=inbox.deliver, device="cpu")
        session.events.updated.connect(lambda update: previews.append(update.final))
        inbox.wait(session.draw(strokes, 0), 120)
        assert dice(session.labels[0] == 2, mask) > 0.9
        more = strokes.copy()
        more[40:44, 5:50] = 1
        update = inbox.wait(session.draw(more, 0), 120)
        assert dice(session.labels[0] == 2, mask) > 0.9
        assert np.allclose(update.probabilities.sum(axis=0), 1, atol=1e-3)
        more[12:36, 24:26] = 2
        inbox.wait(session.draw(more, 0), 120)
        assert len(inbox.wait(session.propagate(0, 3), 240)) == 3
        for z in (1, 2, 3):
            assert dice(session.labels[z] == 2, mask) > 0.9
        session.save(tmp_path / "a")
        session.close()
    assert previews[-1]
    again = Session.replay(tmp_path / "a", volume)
    assert (again.labels == session.labels).all()
    loaded = Session.load(tmp_path / "a", volume)
    assert (loaded.labels == session.labels).all()
    assert loaded.engine == session.engine
