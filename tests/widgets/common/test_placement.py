import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_scribseg.widgets.common.placement import cover


def placed(layer, shape):
    return cover(layer.data.shape, shape, scale=layer.scale, translate=layer.translate, rotate=layer.rotate,
                 shear=layer.shear)  # fmt: skip


@pytest.mark.parametrize("rotate", [None, 30.0])
def test_one_thick_voxel_is_met_at_every_position(rotate):
    rotation = {} if rotate is None else {"rotate": (0, 0, rotate)}
    image = Image(np.zeros((5, 6, 7)), scale=(3, 0.5, 0.7), translate=(10, -4, 2), **rotation)
    labels = Labels(np.zeros((1, 6, 7), np.uint8), rotate=image.rotate, **placed(image, (1, 6, 7)))
    for z in range(5):
        point = labels.world_to_data(image.data_to_world((z, 2, 3)))
        assert np.rint(point) == pytest.approx([0, 2, 3])


def test_same_shape_is_left_where_it_is():
    image = Image(np.zeros((5, 6)), scale=(3, 0.5), translate=(10, -4), shear=[0.2])
    kwargs = placed(image, (5, 6))
    assert kwargs["scale"] == pytest.approx(image.scale)
    assert kwargs["translate"] == pytest.approx(image.translate)


def test_coarse_level_covers_the_fine_one():
    fine = Image(np.zeros((8, 12)), scale=(2, 3), translate=(1, 1))
    coarse = Labels(np.zeros((4, 6), np.uint8), **placed(fine, (4, 6)))
    assert coarse.data_to_world((0, 0)) == pytest.approx(fine.data_to_world((0.5, 0.5)))
    assert coarse.data_to_world((3, 5)) == pytest.approx(fine.data_to_world((6.5, 10.5)))
