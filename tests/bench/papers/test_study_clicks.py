"""Clicks on converted networks: of one object, and of several classes."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_scribseg.bench.papers.network_clicks import THRESHOLDS, ClickPlan, best_f_scores, click, table_of
from napari_scribseg.cli import app
from napari_scribseg.core import InputError
from napari_scribseg.datasets.case import Case, DataSet

FACTORY = """
import torch
from torch import nn


def convolution(slopes, offsets):
    layer = nn.Conv2d(1, len(slopes), 1)
    with torch.no_grad():
        layer.weight[:, 0, 0, 0], layer.bias[:] = torch.tensor(slopes), torch.tensor(offsets)
    return nn.Sequential(layer)


def three():
    return convolution([0.0, 8.0, 16.0], [0.0, -5.0, -12.0])  # the grey disc, 0.5, is dark to it


def one():
    return convolution([8.0], [-6.0])  # the grey disc is no object
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A package with two networks, and data: images of a grey disc beside a bright one on a dark ground."""
    (tmp_path / "made_networks.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path)
    rows, columns = np.mgrid[:48, :64]

    def load(name, grey):
        truth = np.zeros((48, 64), dtype=np.int32)
        truth[(rows - 24) ** 2 + (columns - 16) ** 2 < 100] = 1
        truth[(rows - 24) ** 2 + (columns - 46) ** 2 < 100] = 2
        rng = np.random.default_rng(int(name))
        image = np.array([0.0, grey, 1.0])[truth] + rng.normal(0, 0.05, truth.shape)
        return Case(name, image.astype(np.float32), truth, (1.0, 1.0))

    return lambda grey: DataSet("made", "two discs", "CC0", False, False, ("0", "1"), lambda name: load(name, grey))


def test_accuracy_by_clicks_of_a_network_of_several_classes(made):
    rows = click(ClickPlan("brs:model=made_networks:three,trust=true", (made(0.5),), clicks=3), lambda *_: None)
    assert [(row.image, row.clicks) for row in rows] == [(name, n) for name in "01" for n in range(4)]
    table = table_of(rows)
    assert table["clicks"].tolist() == [0, 1, 2, 3]
    assert table["accuracy"].iloc[0] < table["accuracy"].iloc[1]
    assert table["iou"].iloc[-1] > table["iou"].iloc[0]
    assert np.isnan(table["seed_accuracy"].iloc[0])
    assert (table["seed_accuracy"].iloc[1:] == 1).all()
    assert table["f_score"].isna().all()  # several objects have no precision


def test_precision_and_recall_of_a_network_of_one_object(made):
    rows = click(ClickPlan("brs:model=made_networks:one,trust=true", (made(0.05),), clicks=2), lambda *_: None)
    precision, recall = (np.array(getattr(rows[0], name)) for name in ("precision", "recall"))
    assert len(THRESHOLDS) == len(precision) == len(recall)
    assert recall[0] == 1
    assert (np.diff(recall) <= 0).all()
    assert precision[0] < precision[len(precision) // 2]
    scores = best_f_scores(rows)
    assert scores[0] < scores[-1] <= 1
    assert len(scores) == 3


def test_a_network_that_needs_strokes_is_refused(made):
    with pytest.raises(InputError, match="svcd segments with strokes only"):
        click(ClickPlan("svcd", (made(0.5),)), lambda *_: None)


def test_the_command_writes_a_page_a_table_and_curves(made, folder, tmp_path):
    out = tmp_path / "out"
    arguments = ("--out", out, "--data", folder(), "--engine", "brs:model=made_networks:one,trust=true", "--clicks", 2)
    result = CliRunner().invoke(app, ["study-clicks", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert [line.rsplit("/", 1)[-1] for line in result.stdout.split()] == [
        "study-clicks.md", "clicks.csv", "precision-recall.csv",
    ]  # fmt: skip
    page = (out / "study-clicks.md").read_text()
    assert "table 3 and figure 11" in page
    with (out / "clicks.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["clicks"] for row in table} == {"0", "1", "2"}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in table)
    with (out / "precision-recall.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == 3 * len(THRESHOLDS)
    assert float(curves[0]["recall"]) == 1
