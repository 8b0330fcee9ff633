import numpy as np
import pytest

from napari_scribseg.core import ClassTable, Geometry, InputError, LabelClass
from napari_scribseg.io import read_classes, read_labels, write_classes, write_labels
from napari_scribseg.io.class_tables import bids_path, itksnap_path

GRID = Geometry((2, 3, 4), (1.0, 1.0, 1.0), np.eye(4), "millimeter")


@pytest.mark.parametrize("name", ["c.tsv", "c.txt", "c.label"])
def test_round_trip(tmp_path, name, classes):
    write_classes(tmp_path / name, classes)
    back = read_classes(tmp_path / name)
    assert back.ids == classes.ids
    for new, old in zip(back, classes, strict=True):
        assert new.name.replace("'", '"') == old.name.replace("'", '"')
        assert new.color == pytest.approx(old.color, abs=1 / 510)


def test_bids_follows_its_specification(tmp_path):
    write_classes(tmp_path / "x_dseg.tsv", ClassTable((LabelClass(7, "a\tb\nc", (1.0, 0.5, 0.0, 1.0)),)))
    assert (tmp_path / "x_dseg.tsv").read_bytes() == b"index\tname\tcolor\n7\ta b c\t#ff8000\n"


def test_itksnap_is_as_it_writes_itself(tmp_path):
    table = ClassTable((LabelClass(7, 'a "b"', (1.0, 0.5, 0.0, 0.5), visible=False),))
    write_classes(tmp_path / "x.txt", table)
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert [line.split(None, 7) for line in lines if not line.startswith("#")] == [
        ["0", "0", "0", "0", "0", "0", "0", '"Clear Label"'],
        ["7", "255", "128", "0", "0.5", "0", "0", "\"a 'b'\""],
    ]
    (back,) = read_classes(tmp_path / "x.txt")
    assert not back.visible
    assert back.color[3] == 0.5


def test_reads_what_others_write(tmp_path):
    path = tmp_path / "a_dseg.tsv"
    lines = ["name\tabbreviation\tindex\tcolor", "background\tBG\t0\t#000000", "Grey Matter\tGM\t1\t#FF53bb"]
    path.write_bytes("\r\n".join(["\ufeff" + lines[0], *lines[1:], "White Matter\tWM\t2\tn/a", "", ""]).encode())
    table = read_classes(path)
    assert table.ids == (1, 2)
    assert table[1].name == "Grey Matter"
    assert table[1].color[:3] == pytest.approx((1, 0x53 / 255, 0xBB / 255))
    assert table[2].color == ClassTable.from_ids([2])[2].color
    snap = tmp_path / "b.label"
    snap.write_text('# comment\n    0  0 0 0  0 0 0  "Clear Label"\n  12  255    0    0        1  1  0    "Label 1"\n')
    assert [(c.id, c.name, c.color) for c in read_classes(snap)] == [(12, "Label 1", (1, 0, 0, 1))]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.tsv", "id\tname\n1\ta\n", "the columns 'index' and 'name' are expected"),
        ("a.tsv", "", "the columns 'index' and 'name' are expected"),
        ("a.tsv", "index\tname\nx\ta\n", "the index 'x'"),
        ("a.tsv", "index\tname\n65536\ta\n", "0 to 65535"),
        ("a.tsv", "index\tname\n1\ta\n1\tb\n", "more than once"),
        ("a.tsv", "index\tname\tcolor\n1\ta\tred\n", "the colour 'red'"),
        ("a.txt", "1 2 3\n", "the line '1 2 3'"),
        ("a.txt", '1 300 0 0 1 1 1 "a"\n', "expected RGBA"),
        ("a.txt", '1 0 0 0 - 1 1 "a"\n', r"a\.txt: "),
        ("a.csv", "index,name\n", "a BIDS .tsv or an ITK-SNAP"),
    ],
)
def test_senseless_tables_are_refused_with_one_message(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        read_classes(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_missing_and_binary_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_classes(tmp_path / "no.tsv")
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\x00index")
    with pytest.raises(InputError, match="UTF-8"):
        read_classes(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_bytes(b"index\tname\n1\tli\0ver\n")
    with pytest.raises(InputError, match="the character NUL"):
        read_classes(tmp_path / "a.tsv")


def test_where_the_tables_go(tmp_path):
    assert bids_path(tmp_path / "labels.nii.gz").name == "labels_dseg.tsv"
    assert bids_path(tmp_path / "sub-01_dseg.nii.gz").name == "sub-01_dseg.tsv"
    assert itksnap_path(tmp_path / "labels.seg.nrrd").name == "labels_labels.txt"


@pytest.mark.parametrize("which", ["bids_tsv", "itksnap"])
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha", ".tif"])
def test_tables_beside_labels_name_them_again(tmp_path, which, extension, classes):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0], labels[1] = 1, 9
    volume, table = write_labels(tmp_path / f"l{extension}", labels, GRID, classes, **{which: True})
    back = read_labels(volume).classes
    assert back.ids == (2, 1, 3, 9)
    assert [c.name for c in back][:1] == ["left kidney"]
    assert back[9].name == "class 9"
    assert table.is_file()


def test_a_broken_table_beside_labels_warns_and_the_labels_are_read(tmp_path):
    labels = np.ones((2, 3, 4), np.uint8)
    write_labels(tmp_path / "l.nii", labels, GRID)
    (tmp_path / "l_dseg.tsv").write_text("nonsense")
    with pytest.warns(UserWarning, match="names and colours are not used: l_dseg.tsv"):
        back = read_labels(tmp_path / "l.nii")
    assert back.classes.ids == (1,)


def test_a_background_is_named_only_where_its_id_is_painted(tmp_path):
    table = ClassTable.from_ids([1, 2], background=255)
    labels = np.ones((2, 3, 4), np.uint8)
    write_labels(tmp_path / "l.nii", labels, GRID, table, bids_tsv=True)
    assert read_classes(tmp_path / "l_dseg.tsv").ids == (1, 2)
    labels[0] = 255
    write_labels(tmp_path / "s.nii", labels, GRID, table, bids_tsv=True)
    assert read_classes(tmp_path / "s_dseg.tsv")[255].name == "background"
