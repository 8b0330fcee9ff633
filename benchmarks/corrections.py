"""Do more strokes help? Run as ``python benchmarks/corrections.py PACK WEIGHTS ... [--corrections 10]``.

The network segments objects of the validation sources from a first stroke. Then a simulated user draws, again and
again, a stroke into the largest errors, and the network gets all strokes and its previous prediction. Printed: mean
Dice of the network alone (stroke pixels are not given their class) after each correction, on each source and over the
sources.
"""

from __future__ import annotations

import argparse

import torch

from napari_scribseg.nets import load_model
from napari_scribseg.train.pack import read_pack
from napari_scribseg.train.settings import Settings
from napari_scribseg.train.validate import Validation

DEFAULT = Settings()


def main() -> None:
    """Print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", help="a file that scribseg train pack wrote")
    parser.add_argument("weights", nargs="+", help=".safetensors files")
    parser.add_argument("--corrections", type=int, default=10)
    parser.add_argument("--validate", nargs="+", default=DEFAULT.validation, help="sources")
    parser.add_argument("--cases", type=int, default=DEFAULT.validation_samples, help="of each source")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    validation = Validation(read_pack(given.pack), given.validate, given.cases, DEFAULT.size)
    for path in given.weights:
        model, _ = load_model(path)
        scores = validation.run(model, model.config.in_channels, corrections=given.corrections)
        print(f"{path}, {given.cases} objects of each source, mean Dice after so many corrections:")
        print(f"| source | {' | '.join(map(str, range(given.corrections + 1)))} |")
        print("|---" * (given.corrections + 2) + "|")
        for name, row in {**scores.sources, "mean": scores.mean}.items():
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row)} |")


if __name__ == "__main__":
    main()
