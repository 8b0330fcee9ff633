import csv
import io

import numpy as np
import pytest

from napari_scribseg.core import ClassTable, Geometry, InputError, LabelClass
from napari_scribseg.core.measurement import Measurement
from napari_scribseg.io.measurement_table import MeasurementTable, measurements_path
from napari_scribseg.io.sheets import csv_rows

GEOMETRY = Geometry((4, 5, 6), (3.0, 1.0, 1.0), np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "millimeter")
CENTRE = (1.0, 2.0, 3.0)
ROWS = (
    Measurement(3, voxels=40, volume_ml=0.12345678901, mean=-12.5, centre_voxel=CENTRE, centre_mm=(3.0, 2.0, 3.0)),
    Measurement(3, slice=1, voxels=20, volume_ml=0.06, area_mm2=20.0, centre_voxel=CENTRE),
    Measurement(300),
)


def table(**changes):
    classes = ClassTable((LabelClass(3, "=left\nlung", (1.0, 0.0, 0.0, 1.0)),))
    return MeasurementTable(**{"rows": ROWS, "classes": classes, "geometry": GEOMETRY, "axis": 1} | changes)


def test_every_column_of_every_row_is_in_the_file(tmp_path):
    path = table().write(tmp_path / "t.csv")
    first, second, third = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    assert first["volume_ml"] == "0.123456789"
    assert first["class"] == "'=left\\nlung"
    assert csv_rows(path.read_text(encoding="utf-8"))[1][1] == "=left\nlung"
    assert (first["mean"], first["time"], first["slice"], first["slices"]) == ("-12.5", "", "", "")
    assert (second["slices"], second["slice"], second["area_mm2"]) == ("coronal", "1", "20")
    assert (first["centre_z"], first["centre_x"], first["centre_superior_mm"]) == ("1", "3", "3")
    assert (third["class"], third["voxels"], third["volume_ml"]) == ("300", "0", "")


def test_people_see_no_empty_columns():
    header, first, *_ = table().text()
    assert "SD" not in header
    assert "time" not in header
    assert dict(zip(header, first, strict=True))["ml"] == "0.1235"


def test_a_table_without_rows_has_its_header():
    assert table(rows=()).csv().count("\n") == 1
    assert len(table(rows=()).text()[0]) == len(table().header)


def test_axes_without_a_name_in_the_patient_have_their_own():
    plain = Geometry((4, 5, 6), (1.0,) * 3)
    assert table(geometry=plain).cells()[1][3] == "y"


def test_the_file_beside_the_labels(tmp_path):
    assert measurements_path(tmp_path / "a.b_labels.seg.nrrd") == tmp_path / "a.b_labels_measurements.csv"
    with pytest.raises(InputError, match=r"is saved as \.csv"):
        table().write(tmp_path / "t.txt")
