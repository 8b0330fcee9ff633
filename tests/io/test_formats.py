import re
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import yaml
from fuzz_formats import FORMATS

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.io import image_extensions, label_extensions, read_volume, write_labels
from napari_scribseg.io.formats import (
    Format,
    Keeps,
    extension,
    extension_for_labels,
    formats,
    formats_table,
    register,
    stem,
    unregister,
)

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))["contributions"]


@pytest.fixture
def registered():
    """A format of raw bytes; registered for this test only."""

    def read(path, options):
        array = np.frombuffer(path.read_bytes(), np.uint8).reshape(2, -1)
        return Source(array, Geometry(array.shape, (1.0, 1.0)), stem(path))

    added = Format(
        "bytes", (".two.bytes",), read, Keeps.NOTHING, write=lambda path, labels, *_: {path: labels.tobytes()}
    )
    register(added)
    yield added
    unregister(added)


def test_a_registered_format_is_read_and_written(registered, tmp_path):
    labels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    write_labels(tmp_path / "a.two.bytes", labels, Geometry((2, 3), (1.0, 1.0)))
    assert (tmp_path / "a.two.bytes").read_bytes() == labels.tobytes()
    volume = read_volume(tmp_path / "a.two.bytes")
    np.testing.assert_array_equal(volume.array, labels)
    assert volume.name == "a"
    assert ".two.bytes" in image_extensions()
    assert ".two.bytes" in label_extensions()


def test_an_extension_has_one_format(registered):
    with pytest.raises(InputError, match=r"\.nii is registered as NIfTI"):
        register(Format("mine", (".nii",), registered.read, Keeps.NOTHING))
    with pytest.raises(InputError, match="the extension of mine is 'Nii'"):
        register(Format("mine", ("Nii",), registered.read, Keeps.NOTHING))


def test_the_longest_extension_names_the_format():
    assert extension(Path("a.SEG.nrrd")) == ".seg.nrrd"
    assert extension(Path("a.ome.tif")) == ".ome.tif"
    assert extension(Path("a.b.tif")) == ".tif"
    assert extension(Path("a.doc")) == ""


@pytest.mark.parametrize(
    ("image", "ending"),
    [("a.png", ".tif"), ("a.ome.tif", ".tif"), ("a.nrrd", ".nii.gz"), ("a.dcm", ".nii.gz"), ("a.doc", ".nii.gz")],
)
def test_labels_of_images_without_placement_are_tiff(image, ending):
    assert extension_for_labels(Path(image)) == ending


@pytest.mark.parametrize("entry", formats(), ids=lambda entry: entry.name)
def test_the_functions_of_an_entry_are_there(entry, tmp_path):
    empty = tmp_path / f"a{entry.extensions[0]}"
    empty.write_bytes(b"")
    with pytest.raises(InputError, match="a"):
        read_volume(empty)
    if entry.write is not None:
        assert empty in entry.write(empty, np.zeros((3, 4), np.uint8), Geometry((3, 4), (1.0, 1.0)), ())
    for header in entry.detached:
        with pytest.raises(InputError, match="header|begin"):
            entry.data_names(empty.rename(tmp_path / f"b{header}"))


def test_the_manifest_names_every_extension():
    (reader,) = MANIFEST["readers"]
    patterns = reader["filename_patterns"]
    assert [e for e in image_extensions() if not any(fnmatch(f"a{e}", pattern) for pattern in patterns)] == []
    assert [p for p in patterns if p.removeprefix("*") not in image_extensions()] == []
    written = [ending for writer in MANIFEST["writers"] for ending in writer["filename_extensions"]]
    assert [e for e in label_extensions() if not e.endswith(tuple(written))] == []
    assert [e for e in written if e not in label_extensions()] == []


def test_the_documentation_shows_the_table_of_the_registry():
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert re.search(r"<!-- formats_table\(\) -->\n(.*?)\n\n", page, re.DOTALL)[1] == formats_table()


def test_damaged_files_of_every_format_are_tried():
    assert [entry.name for entry in formats() if entry.name not in FORMATS] == []


def test_formats_of_other_packages_are_read_and_a_broken_one_is_left_out(installed, tmp_path):
    (tmp_path / "a.one").write_bytes(bytes(6))
    points = (
        "[scribseg.formats]\none = others:ONE\nbroken = no_such_module:FORMAT\nodd = json:loads\nnii = others:NII\n"
    )
    output, warned = installed(
        points,
        "import numpy as np\n"
        "from napari_scribseg.core import Geometry, Source\n"
        "from napari_scribseg.io.formats import Format, Keeps\n"
        "def read(path, options):\n"
        "    array = np.frombuffer(path.read_bytes(), np.uint8).reshape(2, -1)\n"
        "    return Source(array, Geometry(array.shape, (1.0, 1.0)))\n"
        "ONE = Format('one', ('.one',), read, Keeps.NOTHING)\n"
        "NII = Format('mine', ('.nii',), read, Keeps.NOTHING)\n",
        "from napari_scribseg.io import image_extensions, read_volume\n"
        "print(read_volume('a.one').array.shape, image_extensions()[-1], image_extensions().count('.nii'))\n",
    )
    assert output == "(2, 3) .one 1\n"
    assert warned == [
        "'broken' of scribseg.formats (no_such_module:FORMAT) is left out: No module named 'no_such_module'",
        "'nii' of scribseg.formats (others:NII) is left out: .nii is registered as NIfTI; an extension has one format",
        "'odd' of scribseg.formats (json:loads) is left out: it is of the class function; Format is expected",
    ]
