"""Scribbles, boxes and extreme points compared: ``python benchmarks/prompts.py PACK NAME=WEIGHTS ...``.

Every network takes the prompt that the card of its weights names, on the same objects of the validation sources.
Printed for each: the samples it was trained on, its mean Dice on each source, and over the sources; for scribbles also
after one correction. Boxes and extreme points lie exactly, as in table 1 of paper 001.
"""

from __future__ import annotations

import argparse
from functools import cache

import torch

from napari_scribseg.core import InputError
from napari_scribseg.nets import load_model
from napari_scribseg.train.pack import read_pack
from napari_scribseg.train.settings import Settings
from napari_scribseg.train.validate import Validation

DEFAULT = Settings()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", help="a file that scribseg train pack wrote")
    parser.add_argument("weights", nargs="+", metavar="NAME=WEIGHTS", help="a .safetensors file, and its name here")
    parser.add_argument("--validate", nargs="+", default=DEFAULT.validation, help="sources")
    parser.add_argument("--cases", type=int, default=DEFAULT.validation_samples, help="of each source")
    parser.add_argument("--size", type=int, default=DEFAULT.size, help="pixels along each side")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pack = read_pack(given.pack)

    @cache
    def validation(prompt: str) -> Validation:
        s = Settings(prompt=prompt, validation=tuple(given.validate), validation_samples=given.cases, size=given.size)
        return Validation(pack, s.validation, s.validation_samples, s.size, s.prompt)

    sources = [f"{source} ({given.cases})" for source in given.validate]
    print(f"| network | prompt | samples | {' | '.join(sources)} | mean ({given.cases * len(sources)}) |")
    print("|---" * (4 + len(sources)) + "|")
    for text in given.weights:
        name, _, path = text.rpartition("=")
        model, card = load_model(path)
        seen = sorted(set(given.validate) & set(card.get("data", "").split(", ")))
        if seen:
            raise InputError(f"{path} was trained on {', '.join(seen)}; sources that it has not seen are expected")
        prompt = card.get("prompt", "scribbles")
        scores = validation(prompt).run(model, model.config.in_channels)
        rows = zip(*(scores.sources[source] for source in given.validate), scores.mean, strict=True)
        for dice, after in zip(rows, ("", ", one correction"), strict=False):
            cells = [name or path, prompt + after, card.get("samples", ""), *(f"{value:.3f}" for value in dice)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
