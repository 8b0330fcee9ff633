import http.server
import threading

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.io import sample_data


@pytest.mark.parametrize("make", [sample_data.mr_volume, sample_data.photograph, sample_data.ct_phantom])
def test_strokes_of_every_class_lie_on_the_image(make):
    sample = make()
    assert sample.painted.shape == sample.geometry.shape
    assert sample.array.shape[: sample.painted.ndim] == sample.painted.shape
    assert set(np.unique(sample.painted)) == {0, *sample.classes.ids}
    assert sample.classes.background == sample_data.BACKGROUND
    assert (sample.painted != 0).mean() < 0.05


def test_every_slice_with_strokes_has_the_background_and_another_class():
    for sample in (sample_data.mr_volume(), sample_data.ct_phantom()):
        for painted in sample.painted[sample.painted.any(axis=(1, 2))]:
            present = set(np.unique(painted)) - {0}
            assert sample_data.BACKGROUND in present
            assert len(present) >= 3


def test_phantom_is_the_same_for_the_same_seed_and_holds_hounsfield_units():
    first, again, other = sample_data.ct_phantom(3), sample_data.ct_phantom(3), sample_data.ct_phantom(4)
    np.testing.assert_array_equal(first.array, again.array)
    assert (first.array != other.array).any()
    assert first.array.dtype == np.int16
    assert first.array.min() < -950
    for identity, hounsfield in ((1, 115), (2, 190), (3, 420), (4, 130)):
        painted = first.array[first.painted == identity]
        assert abs(float(painted.mean()) - hounsfield) < 12


def test_strokes_of_one_organ_lie_inside_it():
    sample = sample_data.ct_phantom()
    for identity in (1, 2, 3, 4):
        assert sample.array[sample.painted == identity].std() < 25


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine in the place of the public one, and an empty cache."""
    root = tmp_path / "served"
    root.mkdir()
    handler = lambda *a, **k: Silent(*a, directory=str(root), **k)  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setattr(sample_data, "EXAMPLE_CT", f"http://127.0.0.1:{httpd.server_port}/ct.nii.gz")
        monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
        yield root / "ct.nii.gz"
        httpd.shutdown()


def test_download_is_checked_read_and_kept(server, shared_data):
    source = shared_data / "totalsegmentator" / "example_ct.nii.gz"
    server.write_bytes(source.read_bytes())
    sample = sample_data.totalsegmentator_ct()
    assert sample.array.shape == sample.geometry.shape
    assert min(sample.array.shape) > 100
    server.unlink()
    np.testing.assert_array_equal(sample_data.totalsegmentator_ct().array, sample.array)


def test_a_foreign_file_or_none_is_reported_in_one_message(server):
    with pytest.raises(InputError, match="could not be downloaded as expected"):
        sample_data.totalsegmentator_ct()
    server.write_bytes(b"something else")
    with pytest.raises(InputError, match="could not be downloaded as expected") as error:
        sample_data.totalsegmentator_ct()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [sample_data.mr_volume, sample_data.ct_phantom])
def test_the_slice_that_napari_opens_has_strokes_of_every_class(make):
    sample = make()
    middle = (len(sample.painted) - 1) // 2
    assert set(np.unique(sample.painted[middle])) == {0, *sample.classes.ids}
