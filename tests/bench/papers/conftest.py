"""A folder of two small pictures with people's strokes."""

import json

import numpy as np
import pytest
from PIL import Image as Picture


@pytest.fixture
def folder(tmp_path):
    """Writes image, label and stroke files; returns the folder."""

    def write(count=2, name="pairs", drawn=True):
        root = tmp_path / name
        truth = np.zeros((40, 44), np.uint8)
        truth[8:24, 6:26] = 1
        painted = np.zeros_like(truth)
        painted[3, 4:40], painted[14, 9:20] = 9, 1
        for number in range(count):
            noise = np.random.default_rng(number).normal(0, 5, truth.shape)
            image = np.clip(np.asarray([30, 210])[truth] + noise, 0, 255).astype(np.uint8)
            for part, values in (("images", image), ("labels", truth), *((("scribbles", painted),) if drawn else ())):
                (root / part).mkdir(parents=True, exist_ok=True)
                Picture.fromarray(values).save(root / part / f"p{number}.png")
        (root / "dataset.json").write_text(json.dumps({"background_stroke": 9}))
        return root

    return write
