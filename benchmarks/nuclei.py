"""Split the microscopy of nuclei for the worked conversion of BRS: ``python benchmarks/nuclei.py OUT [--data DIR]``.

Writes pairs of images and labels under ``OUT/train``, ``OUT/choose`` and ``OUT/test`` (7, 1 and 2 of every 10 images of
``dsb2018_nuclei``, each kind of image by itself), ready for ``scribseg train`` and ``scribseg bench``. A plain U-Net is
trained with::

    scribseg train scribble-net --prompt none --data OUT/train --data OUT/choose --validate choose --out unet \\
        --config '{"in_channels": 3, "channels": [16, 32, 64, 96]}' --samples 60000 --batch 16 --rate 0.003
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_scribseg.datasets import open_data_set

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
PARTS = ("train", "train", "test", "train", "train", "choose", "train", "test", "train", "train")


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", default=os.environ.get("SCRIBSEG_DATA", DEFAULT_DATA), help="holds dsb2018_nuclei")
    given = parser.parse_args()
    data = open_data_set("dsb2018_nuclei", given.data)
    seen: Counter[str] = Counter()
    for name in data.cases:
        case = data.load(name)
        folder = given.out / PARTS[seen[case.source] % len(PARTS)]
        seen[case.source] += 1
        for kind, values in (("images", np.asarray(case.image)), ("labels", case.truth.astype(np.uint16))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Picture.fromarray(values).save(folder / kind / f"{name}.png")
        about = {"instances": True, "trainable": True, "licence": data.licence, "names": {"0": "background"}}
        (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    print(f"{dict(seen)} in {given.out}")


if __name__ == "__main__":
    main()
