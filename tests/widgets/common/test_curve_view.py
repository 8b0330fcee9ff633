import numpy as np
import pytest
from PIL import Image as Picture

from napari_scribseg.core import LossCurve
from napari_scribseg.widgets.common.curve_view import TRAINING, VALIDATION, CurvePanel, caption, log_share


def curve(n=9, *, validation=True, most=100):
    steps = 5 * np.arange(n)
    fitted = 2.0 * 0.8 ** np.arange(n)
    judged = np.where(validation, fitted + 0.3, np.nan)
    return LossCurve(steps, fitted, judged, int(steps[n // 2]), most)


@pytest.fixture
def panel(qtbot):
    panel = CurvePanel()
    qtbot.addWidget(panel)
    panel.resize(300, 160)
    return panel


def painted(panel, tmp_path):
    """What the plot looks like, as RGB of shape (H, W, 3)."""
    panel.plot.grab().save(str(tmp_path / "plot.png"))
    return np.asarray(Picture.open(tmp_path / "plot.png").convert("RGB")).astype(int)


def columns_of(picture, color):
    """In which columns of a picture a colour is, beneath the legend."""
    distance = np.abs(picture[25:] - [color.red(), color.green(), color.blue()]).max(axis=-1)
    return np.flatnonzero((distance < 40).any(axis=0))


def test_hidden_without_a_curve(panel):
    assert panel.isHidden()
    panel.show_curve(curve())
    assert not panel.isHidden()
    panel.show_curve(None)
    assert panel.isHidden()


def test_both_losses_are_drawn_over_the_steps(panel, tmp_path):
    panel.show_curve(curve())
    picture = painted(panel, tmp_path)
    for color in (TRAINING, VALIDATION):
        at = columns_of(picture, color)
        assert at.min() < 70
        assert at.max() > picture.shape[1] - 20


def test_without_validation_strokes_there_is_one_line(panel, tmp_path):
    panel.show_curve(curve(validation=False))
    picture = painted(panel, tmp_path)
    assert len(columns_of(picture, TRAINING)) > 150
    assert not len(columns_of(picture, VALIDATION))


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.inf, 1.0], [np.nan, np.nan], [3.0, 3.0], [1e30, 1e-30]])
def test_odd_losses_are_drawn_without_harm(panel, values, tmp_path):
    losses = np.array(values)
    panel.show_curve(LossCurve(np.array([0, 5]), losses, losses, 5, 5))
    drawn = columns_of(painted(panel, tmp_path), VALIDATION)  # it lies over the other line, which is the same
    assert bool(len(drawn)) == np.isfinite(losses).any()


def test_one_point_is_a_dot(panel, tmp_path):
    panel.show_curve(LossCurve(np.array([0]), np.array([1.0]), np.array([np.nan]), 0, 5), fitting=True)
    assert len(columns_of(painted(panel, tmp_path), TRAINING))


def test_the_heading_folds_the_plot_and_still_reports(panel):
    panel.show_curve(curve(), fitting=True)
    assert panel.plot.isHidden()
    assert not panel.isHidden()
    panel.show_curve(curve())
    assert panel.plot.isHidden()
    assert panel.fold.text() == "Loss: stopped at 40 of 100, kept 20"
    panel.fold.click()
    assert not panel.plot.isHidden()


def test_captions():
    assert caption(curve(), fitting=True) == "Loss: step 40 of 100"
    assert caption(curve(most=40), fitting=False) == "Loss: all 40 steps, kept 20"


def test_a_logarithmic_scale():
    share = log_share(np.array([0.01, 0.1, 1.0, 5.0, 0.0, np.nan]), 0.01, 1.0)
    np.testing.assert_allclose(share, [0, 0.5, 1, 1, 0, np.nan])
