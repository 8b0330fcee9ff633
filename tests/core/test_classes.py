import dataclasses

import pytest

from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.classes import default_color


def test_from_ids_names_and_colours_each_class():
    table = ClassTable.from_ids([3, 0, 1, 3, 65535], background=255)
    assert table.ids == (255, 3, 1, 65535)
    assert table.background == 255
    assert table[255].name == "background"
    assert table[3].name == "class 3"
    assert len({c.color for c in table}) == 4


def test_sixteen_neighbouring_ids_differ_in_colour():
    assert len({c.color for c in ClassTable.from_ids(range(1, 17))}) == 16


def test_changes_return_new_tables():
    table = ClassTable.from_ids([1, 2])
    renamed = table.with_class(dataclasses.replace(table[1], name="liver", locked=True))
    assert table[1].name == "class 1"
    assert renamed[1].name == "liver"
    assert renamed.ids == (1, 2)
    assert renamed.without(1).ids == (2,)
    assert renamed.free_id() == 3
    with pytest.raises(KeyError):
        renamed[9]


@pytest.mark.parametrize("identity", [0, -1, 65536])
def test_ids_out_of_range_are_named(identity):
    with pytest.raises(InputError, match="expected 1 to 65535"):
        LabelClass(identity, "x", (0, 0, 0, 1))


def test_double_ids_and_two_backgrounds_are_refused():
    a, b = LabelClass(1, "a", (0, 0, 0, 1), background=True), LabelClass(2, "b", (0, 0, 0, 1), background=True)
    with pytest.raises(InputError, match="more than once"):
        ClassTable((a, a))
    with pytest.raises(InputError, match="at most one"):
        ClassTable((a, b))


def test_every_class_has_a_colour_that_is_seen_on_a_grey_image():
    for identity in range(1, 9):
        color = default_color(identity)[:3]
        assert max(color) - min(color) >= 0.3, identity
