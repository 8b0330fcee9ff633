"""What is saved, and when: no preview, no half of a stroke, and nothing replaced unasked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QMessageBox
from waiting import wait_for

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Geometry, Segmentation, silent
from napari_scribseg.io import read_labels, write_labels
from napari_scribseg.io.formats import label_extensions
from napari_scribseg.io.sheets import csv_rows
from napari_scribseg.kernel import Inbox
from napari_scribseg.widgets.common.fold import window_settings
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.segmentation import saving
from napari_scribseg.widgets.segmentation.actions import ACTIONS
from napari_scribseg.widgets.segmentation.annotation_view import AnnotationView
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.file_panel import FilePanel
from napari_scribseg.widgets.segmentation.layer_set import LayerSet
from napari_scribseg.widgets.segmentation.saving import Saver

LIVER = ClassTable.from_ids([1], background=255)
LIVER = LIVER.with_class(replace(LIVER[1], name="liver", color=(1.0, 0.5, 0.0, 1.0)))
TABLES = {"bids_tsv": True, "itksnap": True}


class AtOnce:
    """A dispatcher that waits for nothing."""

    def aside(self, function, done, failed, *, file=False):
        assert file
        done(function())


class Later:
    """A dispatcher whose functions a test calls."""

    def __init__(self):
        self.functions = []

    def aside(self, function, _done, _failed, *, file=False):
        assert file
        self.functions.append(function)


def annotate(engine, **options):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 20, 30), np.int16), name="scan", units=("mm",) * 3)
    layers = LayerSet(viewer, LayerSource(image))
    session = Session(layers.source.volume(), engine, classes=LIVER, **options)
    layers.make_strokes(LIVER)
    layers.show_result(session.labels, LIVER)
    return Annotator(layers, session, MagicMock(spec=AnnotationView), MagicMock())


def strokes(row=15):
    painted = np.zeros((20, 30), np.uint8)
    painted[2, 2:5], painted[row, 20:23] = 255, 1
    return painted


@pytest.fixture
def saver(tmp_path, monkeypatch):
    window = MagicMock()
    saver = Saver(window, AtOnce())
    saver.window = window
    saver.path = tmp_path / "out.nii.gz"
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: saver.path)
    return saver


def messages(saver):
    return [call.args[0] for call in saver.window.show_message.call_args_list]


@pytest.mark.parametrize("extension", label_extensions())
def test_tables_go_beside_every_format(nearest, saver, extension):
    annotator = annotate(nearest())
    annotator.session.draw(strokes(), 1)
    saver.path = saver.path.with_name(f"out{extension}")
    saver.save_labels(annotator.layers.viewer, annotator, None, TABLES)
    assert messages(saver)[-1].startswith(f"Saved out{extension}")
    assert {"out_dseg.tsv", "out_labels.txt"} <= {p.name for p in saver.path.parent.iterdir()}
    back = read_labels(saver.path)
    assert np.array_equal(back.array, annotator.session.labels)
    assert back.classes.ids == (1,)
    assert back.classes[1].name == "liver"
    np.testing.assert_allclose(back.classes[1].color, (1.0, 0.5, 0.0, 1.0), atol=0.01)


@pytest.mark.parametrize("extension", [".nii.gz", ".seg.nrrd", ".tif"])
def test_a_layer_moved_after_the_start_is_saved_where_it_is(nearest, saver, extension):
    annotator = annotate(nearest())
    annotator.session.draw(strokes(), 1)
    image = annotator.layers.source.layer
    image.scale, image.translate = (3.0, 0.5, 0.5), (10.0, 20.0, 30.0)
    saver.path = saver.path.with_name(f"out{extension}")
    saver.save_labels(annotator.layers.viewer, annotator, None, TABLES)
    back = read_labels(saver.path).geometry
    assert back.spacing == pytest.approx((3.0, 0.5, 0.5))
    reported = "out.tif keeps the voxel size, but not the grid's position; .nii.gz" in messages(saver)[-1]
    assert reported == (extension == ".tif")
    if extension != ".tif":
        np.testing.assert_allclose(back.affine @ [1, 2, 3, 1], (31.5, 21.0, 13.0, 1.0), atol=1e-5)


def test_tables_only_on_request(nearest, saver):
    annotator = annotate(nearest())
    annotator.session.draw(strokes(), 1)
    saver.save_labels(annotator.layers.viewer, annotator, None, dict.fromkeys(TABLES, False))
    assert [p.name for p in saver.path.parent.glob("out*")] == ["out.nii.gz"]


def test_names_are_kept_unless_they_are_not_wanted_and_the_image_is_never_written_over(nearest, saver, qtbot):
    panel = FilePanel(ACTIONS)
    qtbot.addWidget(panel)
    annotator = annotate(nearest())
    annotator.session.draw(strokes(), 1)
    saver.save_labels(annotator.layers.viewer, annotator, None, panel.tables)
    assert read_labels(saver.path).classes[1].name == "liver"
    image = saver.path.with_name("image.nii.gz")
    image.write_bytes(b"voxels")
    annotator.layers.source.layer._source = annotator.layers.source.layer.source.model_copy(update={"path": str(image)})
    saver.path.unlink()
    saver.path.symlink_to(image)
    saver.save_labels(annotator.layers.viewer, annotator, None, panel.tables)
    assert "would be written over the input" in messages(saver)[-1]
    assert image.read_bytes() == b"voxels"


class Busy:
    """An annotator whose second job shows a preview, and waits at a gate."""

    def __init__(self, nearest, worker, gate):
        class Previewing(nearest):
            def segment(self, image, scribbles, state, report=silent):
                all_liver = np.zeros((2, 20, 30), np.float32)
                all_liver[scribbles.ids.index(1)] = 1
                report(0.1, Segmentation(all_liver, None))
                return super().segment(image, scribbles, state, report)

        self.gate, self.inbox = gate, Inbox()
        self.gate.set()
        self.annotator = annotate(Previewing(gate=self.gate), executor=worker, deliver=self.inbox.deliver)
        self.session = self.annotator.session
        self.inbox.wait(self.session.draw(strokes(), 1), 120)
        self.former = self.session.labels.copy()
        self.gate.clear()
        self.future = self.session.draw(strokes(4), 1)
        wait_for(lambda: not np.array_equal(self.session.labels, self.former), "the preview", meanwhile=self.inbox.run)


@pytest.fixture
def busy(nearest):
    gate = threading.Event()
    with ThreadPoolExecutor(1) as worker:
        try:
            yield Busy(nearest, worker, gate)
        finally:
            gate.set()


def test_while_a_job_runs_the_result_is_awaited(busy, saver):
    saver.save_labels(busy.annotator.layers.viewer, busy.annotator, None, {})
    assert not saver.path.exists()
    assert "saved when the job is done" in messages(saver)[-1]
    busy.gate.set()
    busy.inbox.wait(busy.future, 120)
    busy.inbox.run()
    assert np.array_equal(read_labels(saver.path).array, busy.session.labels)
    assert not np.array_equal(busy.session.labels, busy.former)
    saver.path.unlink()
    busy.inbox.wait(busy.session.draw(strokes(6), 1), 120)
    busy.inbox.run()
    assert not saver.path.exists()  # asked for once, saved once


def test_two_files_requested_while_a_job_runs(busy, saver):
    first = saver.path
    saver.save_labels(busy.annotator.layers.viewer, busy.annotator, None, {})
    saver.path = saver.path.with_name("second.seg.nrrd")
    saver.save_labels(busy.annotator.layers.viewer, busy.annotator, None, {})
    busy.gate.set()
    busy.inbox.wait(busy.future, 120)
    busy.inbox.run()
    assert first.exists()
    assert saver.path.exists()


def test_a_job_that_is_cancelled_leaves_the_former_result_to_save(busy, saver):
    saver.save_labels(busy.annotator.layers.viewer, busy.annotator, None, {})
    busy.session.cancel()
    while busy.session.is_busy:
        busy.inbox.run()
    assert np.array_equal(read_labels(saver.path).array, busy.former)


def test_a_window_that_closes_saves_what_was_requested_without_the_preview(busy, saver):
    saver.save_labels(busy.annotator.layers.viewer, busy.annotator, None, {})
    saver.finish()
    assert np.array_equal(read_labels(saver.path).array, busy.former)
    saver.finish()
    assert len([text for text in messages(saver) if text.startswith("Saved")]) == 1


def test_what_is_painted_while_the_file_is_written_is_not_in_it(nearest, saver):
    annotator, dispatcher = annotate(nearest()), Later()
    annotator.session.draw(strokes(), 1)
    before = annotator.session.labels.copy()
    Saver(saver.window, dispatcher).save_labels(annotator.layers.viewer, annotator, None, {})
    annotator.session.draw(strokes(4), 1)
    dispatcher.functions[0]()
    assert np.array_equal(read_labels(saver.path).array, before)


def test_a_file_whose_name_gets_an_extension_is_not_replaced_unrequested(tmp_path, monkeypatch):
    (tmp_path / "a.scribseg").touch()
    results = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "a"), ""))
    monkeypatch.setattr(QMessageBox, "question", lambda *_args: results.pop(0))
    assert saving.choose_session_path(None, tmp_path, save=True) is None
    assert saving.choose_session_path(None, tmp_path, save=True) == tmp_path / "a.scribseg"


def test_labels_of_an_image_without_a_file_go_where_the_last_ones_went(nearest, saver):
    annotator = annotate(nearest())
    geometry = annotator.layers.source.geometry()
    assert saving.suggested_name("a", None, geometry).parent == Path.home()
    saver.save_labels(annotator.layers.viewer, annotator, None, dict.fromkeys(TABLES, False))
    assert saving.suggested_name("a", None, geometry).parent == saver.path.parent
    assert saving.suggested_name("a", "/no/such/folder/a.mha", geometry).parent == saver.path.parent
    beside = saver.path.parent / "images"
    beside.mkdir()
    assert saving.suggested_name("a", str(beside / "a.mha"), geometry).parent == beside


VOLUME = Geometry((4, 20, 30), (3.0, 1.0, 1.0), None, "millimeter")
SERIES = Geometry((2, 4, 20, 30), (1.0, 3.0, 1.0, 1.0), None, "millimeter")
PIXELS = Geometry((20, 30), (1.0, 1.0))


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [(VOLUME, "scan_labels.seg.nrrd"), (SERIES, "scan_labels.nii.gz"), (PIXELS, "scan_labels.tif")],
)
def test_the_suggested_file_lies_beside_the_image_and_its_format_can_hold_the_labels(tmp_path, geometry, expected):
    image = tmp_path / "scan.nii.gz"
    suggested = saving.suggested_name("scan", str(image), geometry)
    assert suggested == tmp_path / expected
    write_labels(suggested, np.zeros(geometry.shape, np.uint8), geometry, LIVER)
    assert read_labels(suggested).geometry.shape == geometry.shape


def test_the_format_that_was_saved_last_is_suggested_for_images_of_that_kind(nearest, saver):
    annotator = annotate(nearest())
    geometry = annotator.layers.source.geometry()
    assert saving.suggested_name("a", None, geometry).name == "a_labels.seg.nrrd"
    saver.path = saver.path.with_name("out.mha")
    saver.save_labels(annotator.layers.viewer, annotator, None, dict.fromkeys(TABLES, False))
    assert saver.path.exists()
    assert saving.suggested_name("a", None, geometry).name == "a_labels.mha"
    assert saving.suggested_name("a", None, PIXELS).name == "a_labels.tif"
    window_settings().setValue("saved/volume", ".gone")  # a format of a package that is not installed any more
    assert saving.suggested_name("a", None, geometry).name == "a_labels.seg.nrrd"


def test_a_table_of_numbers_beside_the_labels_on_request(nearest, saver):
    annotator = annotate(nearest())
    annotator.session.draw(strokes(), 1)
    saver.save_labels(annotator.layers.viewer, annotator, None, dict.fromkeys(TABLES, False), measure=True)
    assert messages(saver)[-1].startswith("Saved out.nii.gz, out_measurements.csv")
    header, *rows = csv_rows((saver.path.parent / "out_measurements.csv").read_text(encoding="utf-8"))
    (row,) = (dict(zip(header, cells, strict=True)) for cells in rows)
    labels = annotator.session.labels
    assert (row["class"], int(row["voxels"])) == ("liver", np.count_nonzero(labels == 1))
    assert float(row["mean"]) == 0
