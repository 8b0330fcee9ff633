"""The scene of the embedding, and its frames; no Qt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.widgets.explore.camera import Camera
from napari_scribseg.widgets.explore.frame_drawing import packed_colors, paint_discs, paint_tiles, with_room
from napari_scribseg.widgets.explore.grid import grid_positions
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["STYLES", "Scene"]

STYLES = ("grid", "map", "points")

_RADIUS, _SMALL = 3.5, 2.4  # pixels of a point; where there are many
_MANY = 3000
_RIM = 2  # pixels around a thumbnail; twice as many around one that is selected
_ROOM = 1.1  # thumbnails apart, in thumbnails
_CROWD = 20  # segments that one thumbnail may hide on the map
_LEAST_CELL, _CELL, _LARGEST = (
    14,
    72,
    64,
)  # pixels: of a thumbnail with its frame in the grid; of a cell; of a thumbnail
_SMALL_SIDE = 20  # pixels of a thumbnail below which its frame is thin
_GRID_MARGIN = 2  # pixels around the grid
_RESHAPED = 1.25  # of the canvas, in width for its height, at which the grid is made anew
_NEAR = 8.0  # pixels from a point that a click may miss it by
_SECONDS = 0.8  # that points take to their new positions

Ids = NDArray[np.int64]
Points = NDArray[np.float32]
Colors = NDArray[np.uint8]
_NOBODY = np.zeros(0, dtype=np.int64)


class Scene:
    """Segments at their positions, in their colours.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64
        The segments shown.
    xy : ndarray of shape (n, 2), float32
        Their present positions; finite.
    camera : Camera
        The visible part.
    style : str
        One of :data:`STYLES`: all thumbnails side by side in a grid, like ones near one another; a map with thumbnails
        where there is room for them; or points only.
    ground, mark : tuple of 3 int
        Colours of the background, and of what is selected.
    """

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles
        self.ids, self.xy = _NOBODY, np.zeros((0, 2), dtype=np.float32)
        self._embedded = self.xy  # positions in the embedding
        self._aspect = 1.0  # of the canvas that the grid was made for
        self.camera = Camera()
        self.style = STYLES[0]
        self.ground, self.mark = (20, 22, 26), (255, 255, 255)
        self.follows = True  # the camera shows all until the user moves it
        self._colors = np.zeros((0, 3), dtype=np.uint8)
        self._selected = np.zeros(0, dtype=bool)
        self._way: tuple[Points, Points, Camera, Camera, float] | None = None  # from, to, both for the camera, since

    # what is shown ----------------------------------------------------------------------------------------------------

    def show(self, ids: Ids, xy: Points, size: tuple[int, int], now: float, *, smoothly: bool = True) -> None:
        """Show segments at new positions; those that are shown move there.

        Parameters
        ----------
        ids : ndarray of shape (n,), int64
        xy : ndarray of shape (n, 2), float32
            Segments without a position (NaN) are ignored.
        size : tuple of 2 int
            Width and height of the canvas in pixels.
        now : float
            Seconds.
        smoothly : bool
            Whether they move, or jump.
        """
        finite = np.isfinite(xy).all(axis=1)
        ids, self._embedded = ids[finite], xy[finite]
        xy = self._placed(size)
        colors = np.full((len(ids), 3), 128, dtype=np.uint8)
        selected = np.zeros(len(ids), dtype=bool)
        start = xy.copy()
        here, there = _common(self.ids, ids)
        colors[there], selected[there], start[there] = self._colors[here], self._selected[here], self.xy[here]
        target = self._around(xy, size) if self.follows and len(ids) else self.camera
        moves = smoothly and len(here) > 0 and (target != self.camera or not np.array_equal(start, xy))
        self.ids, self._colors, self._selected = ids, colors, selected
        self.xy = start if moves else xy
        self._way = (start, xy, self.camera, target, now) if moves else None
        if not moves:
            self.camera = target

    def restyle(self, style: str, size: tuple[int, int], now: float) -> None:
        """Show the same segments in another style, all of them; they move there."""
        self.style, self.follows = style, True
        colors, selected = self._colors, self._selected
        self.show(self.ids, self._embedded, size, now)
        self._colors, self._selected = colors, selected

    def _placed(self, size: tuple[int, int]) -> Points:
        """Where segments are shown: at their positions in the embedding, or in the cells of a grid."""
        if self.style != "grid":
            return self._embedded
        self._aspect = size[0] / size[1]
        return grid_positions(self._embedded, self._aspect)

    def _around(self, xy: Points, size: tuple[int, int]) -> Camera:
        """A camera that shows all of these positions."""
        if self.style != "grid":
            return Camera.around(xy, *size, limit=200.0)
        last = xy
        for _ in range(2):  # the cells alone; then with the whole blocks that they are shown in
            corners = np.concatenate((xy - np.float32(0.5), last + np.float32(0.5)))
            camera = Camera.around(corners, *size, limit=_CELL, margin=_GRID_MARGIN)
            block = math.ceil(_LEAST_CELL / camera.scale)
            last = np.floor((xy + np.float32(0.5)) / block) * block + np.float32(block - 1)
        return camera

    def step(self, now: float) -> bool:
        """Advance the movement; returns whether it goes on."""
        if self._way is None:
            return False
        start, end, first, last, since = self._way
        part = min(max((now - since) / _SECONDS, 0.0), 1.0)
        eased = np.float32(part * part * (3 - 2 * part))
        self.xy = start + (end - start) * eased if part < 1 else end
        if self.follows or first != last:
            self.camera = first.between(last, float(eased))
        if part >= 1:
            self._way = None
        return self._way is not None

    def stop_camera(self) -> None:
        """Let the user move the camera from now on."""
        self.follows = False
        if self._way is not None:
            start, end, _, _, since = self._way
            self._way = (start, end, self.camera, self.camera, since)

    def go_to(self, camera: Camera, now: float) -> None:
        """Move the camera smoothly."""
        ends = self.xy if self._way is None else self._way[1]
        self._way = (self.xy, ends, self.camera, camera, now)

    def fit(self, size: tuple[int, int], now: float) -> None:
        """Show all, also after later changes."""
        self.follows = True
        ends = self.xy if self._way is None else self._way[1]
        self.go_to(self._around(ends, size), now)

    def resized(self, size: tuple[int, int]) -> None:
        """Keep showing all on a canvas of another size."""
        if not self.follows or not len(self.ids):
            return
        aspect = size[0] / size[1] / self._aspect
        if self.style == "grid" and max(aspect, 1 / aspect) > _RESHAPED:
            self._way, self.xy = None, self._placed(size)
        target = self._around(self.xy if self._way is None else self._way[1], size)
        if self._way is None:
            self.camera = target
        else:
            start, end, first, _, since = self._way
            self._way = (start, end, first, target, since)

    def color(self, colors: Colors) -> None:
        """Set the colours of the segments shown, shape (n, 3), in the order of :attr:`ids`."""
        self._colors = colors

    def select(self, ids: Ids) -> None:
        """Select segments, and no others."""
        self._selected = np.isin(self.ids, ids)

    @property
    def selected(self) -> Ids:
        """The selected segments that are shown."""
        return self.ids[self._selected]

    def xy_of(self, identity: int) -> tuple[float, float] | None:
        """The position that a segment has or moves to; None where it is not shown."""
        found = np.flatnonzero(self.ids == identity)
        if not len(found):
            return None
        x, y = (self.xy if self._way is None else self._way[1])[found[0]]
        return float(x), float(y)

    # frames -----------------------------------------------------------------------------------------------------------

    def frame(self, width: int, height: int, ratio: float = 1.0) -> tuple[NDArray[np.uint32], Ids]:
        """A frame, and the visible segments whose thumbnails are missing.

        Parameters
        ----------
        width, height : int
            Of the canvas, in pixels.
        ratio : float
            Pixels of the screen for each of them.
        """
        wide, high = max(round(width * ratio), 1), max(round(height * ratio), 1)
        frame = np.full((high, wide), packed_colors(np.array(self.ground, np.uint8)), dtype=np.uint32)
        pixels = self.camera.to_pixels(self.xy, width, height)
        near = self._visible(pixels, width, height)
        tiled = self._tiled(near)
        rows = self.tiles.rows(self.ids[tiled])
        missing, tiled, rows = self.ids[tiled[rows < 0]], tiled[rows >= 0], rows[rows >= 0]
        points = np.setdiff1d(near, tiled, assume_unique=True)
        radius = ratio * (_SMALL if len(points) > _MANY else _RADIUS)
        colors, mark = packed_colors(self._colors), packed_colors(np.array(self.mark, np.uint8))
        chosen = self._selected[points]
        paint_discs(frame, ratio * pixels[points[~chosen]], colors[points[~chosen]], np.float32(radius))
        marked = points[chosen]
        paint_discs(
            frame, ratio * pixels[marked], np.full(len(marked), mark, np.uint32), np.float32(radius + 1.5 * ratio)
        )
        paint_discs(frame, ratio * pixels[marked], colors[marked], np.float32(radius))
        if len(tiled):
            order = np.argsort(self._selected[tiled], kind="stable")
            tiled, rows = tiled[order], rows[order]
            self._paint_tiles(frame, ratio * self._tile_pixels(tiled, width, height), tiled, rows)
        return frame, missing

    def _paint_tiles(self, frame: Any, pixels: Points, tiled: NDArray[Any], rows: NDArray[np.int32]) -> None:
        chosen = self._selected[tiled]
        colors = packed_colors(self._colors)[tiled]
        outer = np.where(chosen, packed_colors(np.array(self.mark, np.uint8)), colors).astype(np.uint32)
        rims = np.where(chosen, self._rim + 2, self._rim).astype(np.int64)
        everything, part = self.tiles.pixels, slice(0, int(np.searchsorted(chosen, True)))
        side = self._side
        paint_tiles(frame, pixels[part], outer[part], rims[part], everything, rows[part], side)
        for i in range(part.stop, len(tiled)):  # one by one, so that both rims of a thumbnail lie together
            one = slice(i, i + 1)
            paint_tiles(frame, pixels[one], outer[one], rims[one], everything, rows[one], side)
            paint_tiles(frame, pixels[one], colors[one], rims[one] - 2, everything, rows[one], side)

    def _visible(self, pixels: Points, width: int, height: int) -> NDArray[np.intp]:
        edge = self.tiles.side
        inside = (pixels > -edge).all(axis=1) & (pixels[:, 0] < width + edge) & (pixels[:, 1] < height + edge)
        return np.flatnonzero(inside)

    def _tiled(self, near: NDArray[np.intp]) -> NDArray[np.intp]:
        """The visible segments with a thumbnail: that hides few others, or in the grid one of each block of cells."""
        if self.style == "points":
            return near[:0]
        if self.style == "grid":
            return near[with_room(self.xy[near] + np.float32(0.5), self._block)]
        return near[with_room(self.xy[near], _ROOM * self.tiles.side / self.camera.scale, _CROWD)]

    def _tile_pixels(self, tiled: NDArray[np.intp], width: int, height: int) -> Points:
        """The middles of thumbnails on the canvas: of their segments, or of their blocks of cells."""
        xy = self.xy[tiled]
        if self.style == "grid":
            block = np.float32(self._block)
            xy = np.floor((xy + np.float32(0.5)) / block) * block + (block - 1) / 2 if block > 1 else xy
        return self.camera.to_pixels(xy, width, height)

    @property
    def _block(self) -> int:
        """Cells of the grid along a side that share a thumbnail, where one cell is too small for it."""
        return math.ceil(_LEAST_CELL / self.camera.scale)

    @property
    def _side(self) -> int:
        """Pixels of a thumbnail: on the map its own, in the grid what a cell or block has room for."""
        if self.style != "grid":
            return self.tiles.side
        room = int(self._block * self.camera.scale)
        return min(room - 2 * (_RIM if room >= _SMALL_SIDE + 2 * _RIM else 1), _LARGEST)

    @property
    def _rim(self) -> int:
        return _RIM if self._side >= _SMALL_SIDE else 1

    # the mouse --------------------------------------------------------------------------------------------------------

    def at(self, across: float, down: float, width: int, height: int) -> int:
        """The segment under a pixel: of the nearest point or of a thumbnail; 0 where there is none."""
        if not len(self.ids):
            return 0
        pixels = self.camera.to_pixels(self.xy, width, height)
        away = pixels - np.array([across, down], dtype=np.float32)
        if self.style != "points":
            near = self._visible(pixels, width, height)
            tiled = self._tiled(near)
            tiled = tiled[self.tiles.rows(self.ids[tiled]) >= 0]
            beside = np.abs(self._tile_pixels(tiled, width, height) - np.array([across, down], dtype=np.float32))
            over = tiled[(beside <= self._side / 2 + self._rim).all(axis=1)]
            if len(over):
                order = over[np.argsort(self._selected[over], kind="stable")]
                return int(self.ids[order[-1]])
        distance = np.hypot(away[:, 0], away[:, 1])
        nearest = int(distance.argmin())
        return int(self.ids[nearest]) if distance[nearest] <= _NEAR else 0


def _common(former: Ids, now: Ids) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions in both of the ids that are in both."""
    _, here, there = np.intersect1d(former, now, return_indices=True)
    return here, there
