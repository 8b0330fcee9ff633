import csv
import errno
import json
import os

import nibabel
import numpy as np
import pytest

from napari_scribseg import headless
from napari_scribseg.batch import read_table, run_batch, worker
from napari_scribseg.core import InputError
from napari_scribseg.io import read_labels
from napari_scribseg.io.atomic import temporary_name
from napari_scribseg.io.lock import locked


@pytest.fixture
def run(tmp_path):
    """Run a table in this process."""

    def go(table, **options):
        return run_batch(read_table(table), tmp_path / "out", workers=0, **options)

    return go


def rows_of(report):
    with (report.folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_gets_its_labels_and_a_row(run, cohort, readable, temporaries):
    seen = []
    report = run(cohort(3), progress=lambda outcome, done, total: seen.append((outcome.id, done, total)))
    assert report.summary == "3 done of 3 images"
    assert seen == [(f"in/i00{i}_labels.nii.gz", i + 1, 3) for i in range(3)]
    for outcome, row in zip(report, rows_of(report), strict=True):
        readable(outcome.labels)
        assert row["id"] == row["labels"] == outcome.id
        assert (row["status"], row["slices"], row["error"]) == ("done", "2", "")
        assert float(row["seconds"]) > 0
        assert row["image"] == str(outcome.image)
    assert "3 done of 3 images" in (report.folder / "report.md").read_text()
    assert not temporaries(report.folder)


def test_what_is_done_is_not_done_again(run, cohort, events, tmp_path):
    table = cohort(3)
    first = run(table)
    times = [o.labels.stat().st_mtime_ns for o in first]
    again = run(table)
    assert again.summary == "3 skipped of 3 images"
    assert [o.labels.stat().st_mtime_ns for o in again] == times
    assert [o.seconds for o in again] == [o.seconds for o in first]
    assert [o.slices for o in again] == [2, 2, 2]
    assert sum(event == "started" for _, _, event, _ in events(tmp_path / "out")) == 3


@pytest.mark.parametrize("change", ["image", "scribbles", "table of classes", "labels gone", "record damaged"])
def test_what_changed_is_done_again_and_nothing_else(run, cohort, pair, tmp_path, readable, change):
    table = cohort(3)
    first = run(table)
    changed = first.outcomes[1]
    if change == "image":
        image, _ = pair(tmp_path / "new", "n", 99)
        image.replace(changed.image)
    elif change == "scribbles":
        strokes = tmp_path / "in" / "i001_strokes.nii.gz"
        os.utime(strokes, ns=(0, 0))
    elif change == "table of classes":
        (tmp_path / "in" / "i001_strokes_dseg.tsv").write_text("index\tname\n3\tliver\n")
    elif change == "labels gone":
        changed.labels.unlink()
    else:
        record = tmp_path / "out" / ".scribseg" / "records" / "in" / "i001_labels.nii.gz.json"
        record.write_text(record.read_text().replace('"seconds"', '"ages"'))
    again = run(table)
    assert [o.status for o in again] == ["skipped", "done", "skipped"]
    readable(changed.labels)


def test_other_parameters_or_another_background_are_another_task(run, cohort, tmp_path):
    table = cohort(2)
    run(table)
    assert run(table, parameters={"smoothness": 100.0}).summary == "2 skipped of 2 images"  # the default, said aloud
    assert run(table, parameters={"smoothness": 50}).summary == "2 done of 2 images"
    table.write_text(table.read_text().replace("i001_strokes.nii.gz,255", "i001_strokes.nii.gz,3"))
    assert run(table, parameters={"smoothness": 50}).summary == "1 done, 1 skipped of 2 images"


def test_slices_without_strokes_are_filled_on_request(run, cohort, tmp_path):
    table = cohort(2)
    for name in ("i000", "i001"):
        path = tmp_path / "in" / f"{name}_strokes.nii.gz"
        strokes = nibabel.load(path)
        painted = np.asarray(strokes.dataobj).copy()
        painted[..., 1] = 0
        nibabel.save(nibabel.Nifti1Image(painted, strokes.affine), path)
    empty = [~read_labels(o.labels).array.any(axis=(1, 2)) for o in run(table)]
    assert empty[0].any()
    filled = run(table, fill=True)
    assert filled.summary == "2 done of 2 images"  # not what an earlier run did
    for outcome, former in zip(filled, empty, strict=True):
        assert read_labels(outcome.labels).array[former].any()
    assert run(table, fill=True).summary == "2 skipped of 2 images"


def test_one_bad_image_does_not_stop_the_others(run, cohort, tmp_path):
    table = cohort(5)
    (tmp_path / "in" / "i000.nii.gz").unlink()
    (tmp_path / "in" / "i001.nii.gz").write_bytes(b"nothing")
    empty = nibabel.Nifti1Image(np.zeros((24, 24, 2), np.uint8), np.diag([0.8, 0.9, 3, 1]))
    nibabel.save(empty, tmp_path / "in" / "i002_strokes.nii.gz")
    elsewhere = nibabel.load(tmp_path / "in" / "i003_strokes.nii.gz")
    moved = elsewhere.affine.copy()
    moved[0, 3] += 50
    nibabel.save(nibabel.Nifti1Image(np.asarray(elsewhere.dataobj), moved), tmp_path / "in" / "i003_strokes.nii.gz")

    report = run(table)

    assert report.summary == "1 done, 4 failed of 5 images"
    errors = [row["error"] for row in rows_of(report)]
    assert errors[0] == f"there is no file {tmp_path / 'in' / 'i000.nii.gz'}"
    assert errors[1].startswith("i001.nii.gz: ")
    assert errors[2] == "the background id is 255; the scribbles hold []"
    assert "lies elsewhere in space" in errors[3]
    text = (report.folder / "report.md").read_text()
    assert all(error in text for error in errors)
    assert [path.name for path in (report.folder / "in").iterdir()] == ["i004_labels.nii.gz"]
    assert run(table, ignore_geometry=True).outcomes[3].status == "done"


def test_failures_are_tried_again_unless_that_is_not_wanted(run, cohort, tmp_path, pair, events):
    table = cohort(2)
    bad = tmp_path / "in" / "i001.nii.gz"
    bad.write_bytes(b"nothing")
    why = run(table).failures[0].error
    tried = sum(image.startswith("in/i001") for _, _, _, image in events(tmp_path / "out"))
    kept = run(table, retry_failed=False)
    assert kept.summary == "1 skipped, 1 failed of 2 images"
    assert kept.failures[0].error == why
    assert sum(image.startswith("in/i001") for _, _, _, image in events(tmp_path / "out")) == tried
    run(table)
    assert sum(image.startswith("in/i001") for _, _, _, image in events(tmp_path / "out")) > tried
    pair(tmp_path / "in", "i001")
    assert run(table, retry_failed=False).summary == "1 done, 1 skipped of 2 images"


def test_a_writer_that_fails_leaves_the_old_labels_or_none(run, cohort, readable, temporaries, monkeypatch):
    table = cohort(2)
    done = run(table)
    before = done.outcomes[0].labels.read_bytes()
    done.outcomes[1].labels.unlink()
    flush = os.fsync

    def full(descriptor):
        (name,) = (p.name for p in temporaries(done.folder) if os.path.samestat(p.stat(), os.fstat(descriptor)))
        if "labels.nii.gz" in name and ".json" not in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    failed = run(table, parameters={"smoothness": 10})
    assert [o.status for o in failed] == ["failed", "failed"]
    assert all("the disk is full" in o.error for o in failed)
    assert done.outcomes[0].labels.read_bytes() == before
    assert not done.outcomes[1].labels.exists()
    assert not temporaries(failed.folder)
    monkeypatch.undo()
    assert run(table, parameters={"smoothness": 10}).summary == "2 done of 2 images"
    readable(done.outcomes[1].labels)


def test_an_unforeseen_error_is_reported_by_its_type(run, cohort, monkeypatch):
    def broken(*_paths, **_options):
        raise ZeroDivisionError("an engine\nof others")

    monkeypatch.setattr(headless, "segment_volume", broken)
    report = run(cohort(2))
    assert {o.error for o in report} == {"ZeroDivisionError: an engine of others"}


def test_labels_of_others_and_corrected_ones_are_not_written_over(run, cohort, tmp_path):
    table = cohort(2)
    mine = tmp_path / "out" / "in" / "i000_labels.nii.gz"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"by hand")
    first = run(table)
    assert first.summary == "1 done, 1 failed of 2 images"
    assert "is no result of a former run; move it away" in first.failures[0].error
    corrected = first.outcomes[1].labels
    corrected.write_bytes(b"corrected")
    assert run(table).outcomes[1].status == "skipped"
    again = run(table, parameters={"smoothness": 10})
    assert "was changed after it was written; move it away" in again.failures[1].error
    assert (mine.read_bytes(), corrected.read_bytes()) == (b"by hand", b"corrected")
    assert run(table, parameters={"smoothness": 10}, overwrite=True).summary == "2 done of 2 images"
    assert mine.read_bytes() != b"by hand"


def test_half_written_files_of_killed_processes_are_removed_and_no_others(run, cohort, tmp_path):
    folder = tmp_path / "out" / "in"
    records = tmp_path / "out" / ".scribseg" / "records" / "in"
    for place in (folder, records):
        place.mkdir(parents=True)
    stale = [
        temporary_name(folder / "i000_labels.nii.gz"),
        temporary_name(folder / "i000_labels_dseg.tsv", "old"),
        temporary_name(records / "i001_labels.nii.gz.json"),
        temporary_name(tmp_path / "out" / "report.csv"),
    ]
    others = [folder / ".other.nii.gz.0123456789ab.tmp", folder / "i000_labels.nii.gz.tmp", folder / ".hidden"]
    for path in (*stale, *others):
        path.write_bytes(b"half")
    run(cohort(2))
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in others)


def test_a_run_that_was_killed_between_labels_and_record_is_done_again(run, cohort, tmp_path, monkeypatch, readable):
    table = cohort(1)
    write = worker.write_record

    def killed(task, status, *arguments, **values):
        if status == "done":
            raise KeyboardInterrupt
        write(task, status, *arguments, **values)

    monkeypatch.setattr(worker, "write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        run(table)
    assert (tmp_path / "out" / "in" / "i000_labels.nii.gz").exists()
    assert "1 images were not reached" in (tmp_path / "out" / "report.md").read_text()
    monkeypatch.undo()
    report = run(table)
    assert report.summary == "1 done of 1 images"
    readable(report.outcomes[0].labels)


def test_one_run_at_a_time_in_a_folder(run, cohort, tmp_path):
    table = cohort(1)
    hidden = tmp_path / "out" / ".scribseg"
    hidden.mkdir(parents=True)
    with locked(hidden / "lock"), pytest.raises(InputError, match="another run is at work with"):
        run(table)
    assert run(table).summary == "1 done of 1 images"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "none"}, "there is no engine 'none'"),
        ({"parameters": {"sharpness": 3}}, "no parameter sharpness"),
        ({"parameters": {"smoothness": -1}}, "smoothness is -1"),
        ({"device": "tpu"}, "the device 'tpu' is unknown"),
        ({"workers": -1}, "-1 workers were asked for"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "both workers and a scheduler"),
    ],
)
def test_what_cannot_work_is_reported_before_any_work(cohort, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run_batch(read_table(cohort(1)), tmp_path / "out", **{"workers": 0, **options})
    assert not (tmp_path / "out").exists()


def test_no_images_and_a_file_in_place_of_the_folder(cohort, tmp_path):
    with pytest.raises(InputError, match="no images were given"):
        run_batch([], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        run_batch(read_table(cohort(1)), tmp_path / "file", workers=0)


def test_without_dask_one_image_at_a_time(cohort, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("napari_scribseg.batch.cluster.has_dask", lambda: False)
    caplog.set_level("INFO", logger="scribseg")
    assert run_batch(read_table(cohort(2)), tmp_path / "out").summary == "2 done of 2 images"
    assert "pip install 'napari-scribseg[cluster]'" in caplog.text
    with pytest.raises(InputError, match="2 workers were asked for, but dask is not installed"):
        run_batch(read_table(cohort(2)), tmp_path / "out", workers=2)
    with pytest.raises(InputError, match="a scheduler was given, but dask is not installed"):
        run_batch(read_table(cohort(2)), tmp_path / "out", scheduler="tcp://127.0.0.1:1")


def test_the_record_holds_what_the_labels_depend_on(run, cohort, tmp_path):
    run(cohort(1), parameters={"smoothness": 20})
    record = json.loads((tmp_path / "out" / ".scribseg" / "records" / "in" / "i000_labels.nii.gz.json").read_text())
    image = tmp_path / "in" / "i000.nii.gz"
    assert record["status"] == "done"
    assert record["request"]["image"] == [["i000.nii.gz", image.stat().st_size, image.stat().st_mtime_ns]]
    assert record["request"]["parameters"]["smoothness"] == 20
    assert record["request"]["background"] == 255
    assert record["program"].startswith("napari-scribseg ")
    assert [name for name, *_ in record["outputs"]] == ["in/i000_labels.nii.gz"]


def test_a_report_of_other_origin_is_not_written_over(run, cohort, tmp_path):
    table = cohort(1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.csv").write_text("of the user")
    with pytest.raises(InputError, match=r"report\.csv is there already"):
        run(table)
    assert (tmp_path / "out" / "report.csv").read_text() == "of the user"
    assert run(table, overwrite=True).count("done") == 1
    assert run(table).count("skipped") == 1


def test_an_input_is_not_written_over_through_a_link(run, cohort, tmp_path):
    table = cohort(1)
    (tmp_path / "out").mkdir()
    image = tmp_path / "in" / "i000.nii.gz"
    before = image.read_bytes()
    (tmp_path / "out" / "labels.nii.gz").hardlink_to(image)
    table.write_text("image,scribbles,background,out\nin/i000.nii.gz,in/i000_strokes.nii.gz,255,labels.nii.gz\n")
    with pytest.raises(InputError, match="would be written over the input"):
        run(table, overwrite=True)
    assert image.read_bytes() == before


def test_names_of_the_strokes_are_kept(run, cohort, tmp_path):
    table = cohort(1)
    (tmp_path / "in" / "i000_strokes_dseg.tsv").write_text("index\tname\n3\tliver\n255\toutside\n")
    report = run(table)
    (outcome,) = report
    assert read_labels(outcome.labels).classes[3].name == "liver"
    assert run(table).count("skipped") == 1
