from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from napari_scribseg.core import InputError, Range, check_parameters


@dataclass(frozen=True)
class Mine:
    reach: Annotated[float, Range(0, 10)] = 1.0
    count: Annotated[int, Range(1, 4)] = 2
    kind: Literal["soft", "hard"] = "soft"
    path: str = ""
    anything: object = None

    def __post_init__(self):
        check_parameters(self)


@pytest.mark.parametrize(
    "values",
    [{}, {"reach": 0}, {"reach": np.float32(10)}, {"count": np.int64(4)}, {"kind": "hard"}, {"anything": [1]}],
)
def test_what_fits_is_taken(values):
    assert Mine(**values) == Mine(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"reach": 11}, "reach is 11; expected 0 to 10"),
        ({"reach": -0.1}, "reach is -0.1; expected 0 to 10"),
        ({"reach": float("inf")}, "reach is inf; a finite number is expected"),
        ({"reach": "far"}, "reach is 'far'; a finite number is expected"),
        ({"reach": True}, "reach is True; a finite number is expected"),
        ({"count": 2.0}, "count is 2.0; a whole number is expected"),
        ({"count": 5}, "count is 5; expected 1 to 4"),
        ({"kind": "firm"}, "kind is 'firm'; expected one of soft, hard"),
        ({"path": 3}, "path is 3; text is expected"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(values, sentence):
    with pytest.raises(InputError) as raised:
        Mine(**values)
    assert str(raised.value) == sentence
