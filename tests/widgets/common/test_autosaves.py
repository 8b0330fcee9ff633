"""The folder of autosaves: which files belong to an image, and which are removed."""

import os

import numpy as np
from napari.components import ViewerModel

from napari_scribseg.io.lock import FileLock, is_in_use
from napari_scribseg.widgets.common.autosaves import autosaves, new_autosave
from napari_scribseg.widgets.common.layer_source import LayerSource


def source(name, path, **options):
    layer = ViewerModel().add_image(np.zeros((4, 20, 30), np.int16), name=name)
    layer._source = layer.source.model_copy(update={"path": path})
    return LayerSource(layer, **options)


def autosave_of(folder, source, age):
    path = new_autosave(source)
    path.touch()
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_strokes_are_found_again_after_the_layer_was_renamed(tmp_path):
    scan, file = source("scan", "/data/scan.nii"), new_autosave(source("scan", "/data/scan.nii"))
    file.touch()
    assert autosaves(scan) == [file]
    scan.layer.name = "T1"
    assert autosaves(scan) == [file]
    assert autosaves(source("scan", "/data/other.nii")) == []
    assert autosaves(source("scan", "/data/scan.nii", channel_axis=0)) == []
    unknown = new_autosave(source("made", None))
    unknown.touch()
    assert autosaves(source("made", None)) == [unknown]
    assert autosaves(source("other", None)) == []


def test_of_several_layers_of_a_file_each_finds_its_own_strokes_first(tmp_path):
    red, green = source("red", "/data/cells.tif"), source("green", "/data/cells.tif")
    new, old = autosave_of(tmp_path, red, 0), autosave_of(tmp_path, green, 100)
    assert autosaves(green) == [old, new]
    assert autosaves(red) == [new, old]


def test_the_newest_autosaves_stay_and_those_in_use(tmp_path):
    scan = source("scan", "/data/scan.nii")
    files = [autosave_of(tmp_path, scan, age) for age in range(4)]
    in_use = FileLock(autosave_of(tmp_path, scan, 50))
    renamed = autosave_of(tmp_path, source("T1", "/data/scan.nii"), 60)
    left = renamed.with_name(f".{renamed.name}.lock")  # as of a process that was killed
    left.touch()
    new_autosave(scan)
    assert set(autosaves(scan)) == {*files, in_use.path}
    assert not renamed.exists()
    assert not left.exists()
    assert is_in_use(in_use.path)
    in_use.release()
