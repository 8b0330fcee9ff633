import io
import zipfile

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import built_in_data_sets

HEAD = "ICGBENCH\nUSER: 1\nIMAGE: a.png\n#LABELS: 2\nWIDTH: 4\nHEIGHT: 2\n"


def opened(name, folder):
    return next(one for one in built_in_data_sets() if one.name == name).open(folder)


def test_run_lengths(tmp_path, picture):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "a_1.gt").write_text(HEAD + "LABELS: 0 3 1 5\nSEEDS: 0 1 1 1 0 4 2 2\n")
    picture(tmp_path / "images" / "a.png", np.zeros((2, 4, 3)))
    data = opened("graz_scribbles", tmp_path)
    assert data.cases == ("a_1",)
    case = data.load("a_1")
    assert case.truth.tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]
    assert case.strokes.tolist() == [[-1, 0, -1, -1], [-1, -1, 1, 1]]
    assert (case.group, case.background) == ("a", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD,
        HEAD + "LABELS: 0 3 1\nSEEDS: 0 8\n",
        HEAD + "LABELS: 0 8\nSEEDS: 0 90000000000000\n",
        HEAD + "LABELS: 0 9 1 -1\nSEEDS: 0 8\n",
        HEAD.replace("4", "four") + "LABELS: 0 8\nSEEDS: 0 8\n",
    ],
)
def test_damaged_run_lengths(tmp_path, text):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "a_1.gt").write_text(text)
    with pytest.raises(InputError, match=r"a_1\.gt: it is no file of run lengths"):
        opened("graz_scribbles", tmp_path).load("a_1")


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    (tmp_path / "seeds").mkdir()
    huge = HEAD.replace("4", "4000000").replace("HEIGHT: 2", "HEIGHT: 2000000")
    (tmp_path / "seeds" / "a_1.gt").write_text(huge + "LABELS: 0 8000000000000\nSEEDS: 0 8000000000000\n")
    with pytest.raises(InputError, match="declares 2000000x4000000 voxels"):
        opened("graz_scribbles", tmp_path).load("a_1")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**5,) * 3})
    with zipfile.ZipFile(tmp_path / "p.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("image.npy", header.getvalue())
    with pytest.raises(InputError, match="truncated or its header is damaged"):
        opened("acdc_scribbles", tmp_path).load("p")


def test_volumes(tmp_path):
    label = np.zeros((2, 3, 4), np.uint8)
    label[0, 1, 1:3] = 3
    scribble = np.full_like(label, 4)
    scribble[0, 1, 1], scribble[0, 0, 0] = 3, 0
    np.savez_compressed(
        tmp_path / "patient7_frame01.npz", image=label.astype(np.float32), label=label, scribble=scribble
    )
    case = opened("acdc_scribbles", tmp_path).load("patient7_frame01")
    assert case.group == "patient7"
    assert case.ids == (0, 3)
    assert case.names[3] == "left ventricle"
    assert sorted(case.strokes[case.strokes >= 0].tolist()) == [0, 3]


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_volumes(tmp_path, content):
    path = tmp_path / "p.npz"
    if content is None:
        np.savez(path, image=np.zeros(3), label=np.array([{}], dtype=object), scribble=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz: it cannot be read as npz"):
        opened("acdc_scribbles", tmp_path).load("p")
