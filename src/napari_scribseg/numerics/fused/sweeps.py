"""Compiled steps of the primal-dual method on tiles of an image.

Fields are stored as (H, K, W): the labels of a row lie together, so that a sweep over a few rows stays in the cache and
every inner loop runs along x. A tile is copied out with a halo, takes several steps by itself, and only what the halo
kept exact is written back: the result is that of the plain method, whatever the tiles. One pass over a tile's rows does
all its steps: step ``t`` follows step ``t - 1`` one row behind.
"""

from __future__ import annotations

import numpy as np

from napari_scribseg.numerics.fused.kernel import kernel

__all__ = ["PRIMAL", "advance_tiles"]

PRIMAL, BAR, DOWN, RIGHT = range(4)  # order of the fields in a state of shape (4, H, K, W)


@kernel
def _ascend(bar, below, down, right, radius, step_y, step_x, norm):
    """Dual step of one row: ``p + step * gradient(bar)``, projected onto the ball joint over labels and components.

    ``bar, below, down, right`` are (K, W), ``radius`` and the scratch ``norm`` (W,). ``below`` is the next row of
    ``bar``, or ``bar`` itself in the last row.
    """
    n_labels, width = bar.shape
    for x in range(width):
        norm[x] = np.float32(1e-30)
    for k in range(n_labels):
        b, e, d, r = bar[k], below[k], down[k], right[k]
        for x in range(width):
            value = d[x] + step_y * (e[x] - b[x])
            d[x] = value
            norm[x] += value * value
        for x in range(width - 1):
            value = r[x] + step_x * (b[x + 1] - b[x])
            r[x] = value
            norm[x] += value * value
    for x in range(width):
        norm[x] = min(np.float32(1), radius[x] / np.sqrt(norm[x]))
    for k in range(n_labels):
        d, r = down[k], right[k]
        for x in range(width):
            d[x] *= norm[x]
        for x in range(width):
            r[x] *= norm[x]


@kernel
def _descend(u, bar, above, down, right, cost, left, step, inv_y, inv_x, value, low, total, count):
    """Primal step of one row: ``u - step * (cost - divergence(p))``, projected onto the simplex; then ``bar``.

    ``u, bar, above, down, right`` and the scratch ``value`` are (K, W); ``low, total, count`` are scratch (W,).
    ``cost`` is a whole row of the image, in which the tile begins at ``left``; ``above`` is the previous row of
    ``down``, zero in the first row.
    """
    n_labels, width = u.shape
    for x in range(width):
        low[x] = np.float32(-1e30)
        total[x] = np.float32(-1)
    for k in range(n_labels):
        v, a, d, r, f, o = value[k], above[k], down[k], right[k], cost[k, left : left + width], u[k]
        for x in range(width):
            v[x] = o[x] - step * (f[x] - inv_y * (d[x] - a[x]) - inv_x * r[x])
        for x in range(1, width):
            v[x] -= step * inv_x * r[x - 1]
        for x in range(width):
            low[x] = max(low[x], v[x])
            total[x] += v[x]
    mean = np.float32(1) / np.float32(n_labels)
    for x in range(width):
        low[x] = max(low[x] - np.float32(1), total[x] * mean)
    _threshold(value, low, total, count)
    for k in range(n_labels):
        v, o, b = value[k], u[k], bar[k]
        for x in range(width):
            new = max(v[x] - low[x], np.float32(0))
            b[x] = new + new - o[x]
            o[x] = new


@kernel
def _threshold(value, low, excess, count):
    """Raise ``low``, a lower bound of the simplex threshold, to the threshold (Michelot 1986); all of a row at once.

    Newton steps on ``sum_k max(v_k - low, 0) = 1``, which never overshoot; at most one for each label.
    """
    n_labels, width = value.shape
    for _ in range(n_labels):
        for x in range(width):
            excess[x] = np.float32(-1)
            count[x] = np.float32(0)
        for k in range(n_labels):
            v = value[k]
            for x in range(width):
                over = v[x] - low[x]
                excess[x] += max(over, np.float32(0))
                count[x] += np.float32(over > np.float32(0))
        moved = 0
        for x in range(width):
            moved += np.int32(excess[x] > np.float32(1e-6))
            low[x] += max(excess[x], np.float32(0)) / count[x]
        if moved == 0:
            return


@kernel
def _advance(fields, cost, radius, corner, steps, pixel, n_steps):
    """Take ``n_steps`` steps on ``fields`` (4, h, K, w), in place; ``corner`` is its place in ``cost`` and ``radius``.

    The borders of ``fields`` are taken for borders of the image, so that one more row and column of each open side is
    wrong after every step.
    """
    _, height, n_labels, width = fields.shape
    top, left = corner
    u, bar, down, right = fields[PRIMAL], fields[BAR], fields[DOWN], fields[RIGHT]
    norm = np.empty(width, np.float32)
    low = np.empty(width, np.float32)
    count = np.empty(width, np.float32)
    value = np.empty((n_labels, width), np.float32)
    zero = np.zeros((n_labels, width), np.float32)
    step, ascent = steps
    inv_y, inv_x = pixel
    for front in range(height + n_steps - 1):
        for t in range(n_steps):
            y = front - t
            if y < 0 or y >= height:
                continue
            below = bar[y + 1] if y + 1 < height else bar[y]
            ball = radius[top + y, left : left + width]
            _ascend(bar[y], below, down[y], right[y], ball, ascent * inv_y, ascent * inv_x, norm)
            above = down[y - 1] if y > 0 else zero
            _descend(
                u[y], bar[y], above, down[y], right[y], cost[top + y], left, step, inv_y, inv_x, value, low, norm, count
            )


@kernel
def _load(scratch, source, start, row, width, rows, stride):
    """Copy ``rows`` pieces of ``width`` values, ``stride`` apart from ``start`` on, to rows of ``row`` values."""
    for i in range(rows):
        a, b = np.uintp(start + i * stride), np.uintp(i * row)
        for x in range(np.uintp(width)):
            scratch[b + x] = source[a + x]


@kernel
def _load_doubled(scratch, source, part, top, bottom, left, right):
    """Fill the rows from those of half the resolution: ``part`` 0 and 1 repeated, 2 and 3 repeated and doubled."""
    n_labels, width = source.shape[2], right - left
    coarse = source[PRIMAL] if part < DOWN else source[part]
    scale = np.float32(1 if part < DOWN else 2)
    for y in range(top, bottom):
        for k in range(n_labels):
            row, start = coarse[y // 2, k], ((y - top) * n_labels + k) * width
            for x in range(width):
                scratch[np.uintp(start + x)] = scale * row[np.uintp((left + x) >> 1)]


@kernel
def _store(target, source, scratch, start, stride, offset, row, width, rows, rest):
    """Copy the pieces back to ``target``; the number of values that differ from ``source`` by more than ``rest``."""
    moved = 0
    for i in range(rows):
        a, b = np.uintp(start + i * stride), np.uintp(offset + i * row)
        for x in range(np.uintp(width)):
            new = scratch[b + x]
            moved += np.int32(abs(new - source[a + x]) > rest)
            target[a + x] = new
    return moved


@kernel
def advance_tiles(source, target, cost, radius, tiles, moved, scratch, steps, pixel, rest, n_steps):
    """Take ``n_steps`` primal-dual steps on some tiles of an image.

    Parameters
    ----------
    source, target : ndarray of shape (4, H, K, W), float32
        The state before and after: primal field, its extrapolation, and the two components of the dual field. Only
        the given tiles of ``target`` are written. ``source`` may be the state at half the resolution, rounded up: the
        labelling is then repeated, and the dual field, which is per pixel of boundary, repeated and doubled (the next
        projection brings it onto the finer level's ball).
    cost : ndarray of shape (H, K, W), float32
        Data term.
    radius : ndarray of shape (H, W), float32
        Radius of the dual ball.
    tiles : ndarray of shape (n, 4), int64
        First row, row behind the last, first column, column behind the last.
    moved : ndarray of shape (n,), int64
        Filled with the number of values of the primal field in each tile that changed by more than ``rest``.
    scratch : ndarray, float32
        Room for the fields of the largest tile with its halo.
    steps : tuple of 2 float32
        Primal and dual step.
    pixel : tuple of 2 float32
        Inverse size of a pixel along rows and columns, at most 1.
    rest : float32
        Largest change that does not count.
    n_steps : int
        Number of steps, and width of the halo.
    """
    _, height, n_labels, width = target.shape
    halved = source.shape[1] != height or source.shape[3] != width
    after = target.reshape(target.size)
    before = after if halved else source.reshape(source.size)
    for i in range(tiles.shape[0]):
        y0, y1, x0, x1 = tiles[i]
        top, bottom = max(y0 - n_steps, 0), min(y1 + n_steps, height)
        left, right = max(x0 - n_steps, 0), min(x1 + n_steps, width)
        row, component = right - left, (bottom - top) * n_labels * (right - left)
        for f in range(4):
            start = (f * height + top) * n_labels * width + left
            if halved:
                _load_doubled(scratch[f * component :], source, f, top, bottom, left, right)
            else:
                _load(scratch[f * component :], before, start, row, row, (bottom - top) * n_labels, width)
        fields = scratch[: 4 * component].reshape((4, bottom - top, n_labels, row))
        _advance(fields, cost, radius, (top, left), steps, pixel, n_steps)
        for f in range(4):
            start = (f * height + y0) * n_labels * width + x0
            offset = f * component + (y0 - top) * n_labels * row + x0 - left
            rows = (y1 - y0) * n_labels
            count = _store(after, before, scratch, start, width, offset, row, x1 - x0, rows, rest)
            if f == PRIMAL:
                moved[i] = rows * (x1 - x0) if halved else count
