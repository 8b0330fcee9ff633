"""Cohorts of tiny images: two grey halves, a stroke in each."""

import nibabel
import numpy as np
import pytest

AFFINE = np.diag([0.8, 0.9, 3.0, 1.0])


def write_pair(folder, name, seed=0):
    """An image of two slices and its strokes, 255 for the background; returns their paths."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-20, 20, (24, 24, 2)).astype(np.int16)  # x, y, z as NIfTI has it
    values[12:] += 300
    strokes = np.zeros(values.shape, np.uint8)
    strokes[4, 4:20], strokes[19, 4:20] = 255, 3
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.nii.gz", folder / f"{name}_strokes.nii.gz"
    for path, array in zip(paths, (values, strokes), strict=True):
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    return paths


@pytest.fixture
def cohort(tmp_path):
    """Writes a table of ``count`` images; returns its path."""

    def write(count, name="cohort.csv"):
        rows = ["image,scribbles,background"]
        for index in range(count):
            image, strokes = write_pair(tmp_path / "in", f"i{index:03d}", index)
            rows.append(f"in/{image.name},in/{strokes.name},255")
        (tmp_path / name).write_text("\n".join(rows) + "\n")
        return tmp_path / name

    return write


@pytest.fixture
def readable():
    """Checks that a label file is whole: the right half is 3, the left half 0."""

    def check(path):
        labels = np.asarray(nibabel.load(path).dataobj)
        assert labels.shape == (24, 24, 2)
        assert (labels[14:] == 3).mean() > 0.95
        assert (labels[:10] == 0).mean() > 0.95

    return check


@pytest.fixture
def temporaries():
    """The half-written files in a folder and below."""

    def find(folder):
        return [p for p in folder.rglob("*") if p.name.endswith((".tmp", ".old"))]

    return find


@pytest.fixture
def events():
    """The lines that all processes logged: (time, process id, event, image)."""

    def read(out):
        lines = []
        for path in (out / ".scribseg" / "log").glob("*.txt"):
            pid = int(path.stem.rsplit("-", 1)[1])
            for line in path.read_text().splitlines():
                when, event, image = line.split(" ", 2)
                lines.append((float(when), pid, event, image))
        return sorted(lines)

    return read


@pytest.fixture
def pair():
    return write_pair
