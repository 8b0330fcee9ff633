"""Make the pictures of ``docs/simulated-strokes.md``: ``python docs/make_simulation_pictures.py [FOLDER]``.

The label is scikit-image's horse; nothing is downloaded.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from skimage import data
from skimage.transform import resize

from napari_scribseg.simulate import (
    ScribbleStyle,
    bounding_box,
    extreme_points,
    robot_click,
    simulate_correction,
    simulate_scribble,
    training_clicks,
)
from napari_scribseg.simulate.corrections import errors
from napari_scribseg.simulate.masks import distance_field
from napari_scribseg.simulate.sampling import connected_components, dilated_skeleton, shuffled_tiles

SCALE = 2  # pixels of the picture for one of the label
SEED = 0
GROUND, OBJECT = (28, 32, 38), (88, 98, 110)
STROKE, NEGATIVE, POINT, EDGE, LINE = (105, 205, 255), (255, 130, 90), (255, 220, 70), (255, 120, 60), (150, 160, 170)
WRONG, TEMPORARY = (70, 110, 230), (70, 140, 90)


def horse(size=128):
    """A label of shape (size, size)."""
    silhouette = np.pad(~data.horse(), ((36, 36), (0, 0)))
    return resize(silhouette.astype(float), (size, size), anti_aliasing=True) > 0.5


class Panel:
    """A label as a picture to draw on, in the label's coordinates."""

    def __init__(self, label):
        self.pixels = np.full((*label.shape, 3), GROUND, dtype=np.uint8)
        self.color(label, OBJECT)

    def color(self, mask, color):
        """Fill a mask."""
        self.pixels[mask] = color

    def finish(self):
        """Make the pixels large, and return a pen for what has no area."""
        self.picture = Picture.fromarray(self.pixels).resize([s * SCALE for s in self.pixels.shape[1::-1]], 0)
        return ImageDraw.Draw(self.picture)


def spot(row, column):
    """The middle of a pixel in the picture, x before y."""
    return (column + 0.5) * SCALE, (row + 0.5) * SCALE


def dot(pen, row, column, color, radius=4):
    """Draw a round mark."""
    x, y = spot(row, column)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=(0, 0, 0))


def save(panels, path):
    """Write panels side by side."""
    gap = np.full((panels[0].picture.height, 4, 3), 255, dtype=np.uint8)
    parts = [part for panel in panels for part in (np.asarray(panel.picture), gap)][:-1]
    Picture.fromarray(np.hstack(parts)).quantize(64).save(path, optimize=True)


def steps(label, style):
    """The five pictures of the paper's figure 4."""
    field, components = distance_field(label), connected_components(label)
    tiles = shuffled_tiles(
        components, field, style.tiles, style.smallest_tile, style.tile_share, np.random.default_rng(SEED)
    )
    found = simulate_scribble(label, SEED, style)
    panels = [Panel(label) for _ in range(5)]
    glow = (255 * field / field.max())[..., np.newaxis] * (1.0, 0.85, 0.35)
    panels[1].pixels = np.maximum(panels[1].pixels, glow.astype(np.uint8))
    panels[1].color(dilated_skeleton(label, style.skeleton_reach), (235, 235, 235))
    panels[4].color(found.mask, STROKE)
    pens = [panel.finish() for panel in panels]
    for number, (_, rows, columns) in enumerate(tiles, start=1):
        corners = [c * SCALE for c in (columns.start, rows.start, columns.stop, rows.stop)]
        pens[2].rectangle(corners, outline=LINE)
        pens[2].text((corners[0] + 5, corners[1] + 3), str(number), fill=(255, 255, 255))
    for a, b in found.edges:
        pens[3].line((*spot(*found.points[a]), *spot(*found.points[b])), fill=EDGE, width=3)
    for row, column in found.points:
        dot(pens[3], row, column, POINT)
    return panels


def correction(label, style):
    """An result and its errors, the temporary label, the old and the new stroke, and other prompts."""
    first = simulate_scribble(label, SEED, style)
    result = label.copy()
    result[80:, :64] = False
    result[:, 108:] = False
    found = simulate_correction(result, label, first.mask.astype(np.int8), SEED, style)
    missing, _ = errors(result.astype(float), label)
    panels = [Panel(label) for _ in range(4)]
    panels[0].color(missing, WRONG)
    panels[0].color(first.mask, STROKE)
    panels[1].color(found.temporary, TEMPORARY)
    panels[1].color(missing, WRONG)
    panels[2].color(first.mask, STROKE)
    panels[2].color(found.scribble.mask & label, POINT)
    pens = [panel.finish() for panel in panels]
    click = robot_click(result, label)
    dot(pens[0], click.row, click.column, (255, 255, 255))
    positive, negative = training_clicks(label, SEED + 2)
    for row, column in positive:
        dot(pens[3], row, column, STROKE)
    for row, column in negative:
        dot(pens[3], row, column, NEGATIVE)
    top, left, bottom, right = bounding_box(label)
    pens[3].rectangle((left * SCALE, top * SCALE, (right + 1) * SCALE, (bottom + 1) * SCALE), outline=(255, 255, 255))
    for row, column in extreme_points(label):
        dot(pens[3], row, column, POINT)
    return panels


def main():
    """Write both pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    label, style = horse(), ScribbleStyle()
    save(steps(label, style), folder / "simulated-steps.png")
    save(correction(label, style), folder / "simulated-correction.png")


if __name__ == "__main__":
    main()
