"""A user simulated from the truth, for benchmarks/explore.py.

It works with the filter on segments without a class, as a person does, and takes the most valuable action: the value is
the number of pixels made right, each divided by the pixels of its class, because the mean IoU counts classes alike.
Its actions are

- a box: a square around a segment (one of 400 drawn by chance) that holds its nearest neighbours in the embedding. At
  least nine tenths of them must be of one class, which all of them get, so that a tenth may be wrong;
- a lasso: a connected group of segments of one class. A segment belongs to a group if at least three quarters of its
  eight nearest neighbours in the embedding are of its class, because nobody draws a lasso between mixed ones;
- a click on one segment;
- once all have a class, a click on a segment with a wrong one, and corrections, which count as two actions: one stroke
  on the object, one off it. The value of the next correction is scaled by the share of their expected gain that earlier
  corrections reached, and parts of one that reached less than half are not split again.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from skimage.measure import label as components

from napari_scribseg.explore import Workspace
from napari_scribseg.explore.embedding import nearest

__all__ = ["Oracle"]

PURE, CENTRES = 0.9, 400  # of the segments in a box; boxes tried
AROUND, ALIKE = 8, 0.75  # neighbours, and the share of them that must be of a segment's class in a lasso
WORTH = 20  # pixels that a correction must make right at least

Found = tuple[np.ndarray, int, float]  # segments, the class that they get, what that is worth


class Oracle:
    """Knows the truth of each segment, and works on a workspace.

    Parameters
    ----------
    workspace : Workspace
    truths : list of ndarray of shape (H, W)
        Classes 0 to K - 1; class c is assigned as label c + 1.
    tool : str
        ``"box"``; or ``"either"``: a box or a lasso, whichever is worth more.
    correct : bool
        Whether it splits segments.
    """

    def __init__(
        self, workspace: Workspace, truths: list[np.ndarray], tool: str = "box", correct: bool = False
    ) -> None:
        self.workspace, self.truths, self.tool, self.correct = workspace, truths, tool, correct
        self.n_classes = int(max(t.max() for t in truths)) + 1
        self.pixels = np.zeros((0, self.n_classes), dtype=np.int64)  # of each class in each segment, by id
        for index in range(len(truths)):
            self.count(index)
        self.kept = 1.0  # share of what corrections promised
        self.hopeless: set[int] = set()  # segments that do not split well
        self.worth = 1 / np.maximum(self.pixels.sum(axis=0), 1)  # of a pixel of each class

    @property
    def order(self) -> np.ndarray:
        """All segments, those first that are worth most."""
        ids = self.workspace.ids()
        return ids[np.argsort(-(self.pixels[ids].max(axis=1) * self.worth[self.truth(ids)]), kind="stable")]

    @property
    def knows_two_classes(self) -> bool:
        """Whether segments have two classes at least."""
        return len(set(self.workspace.table.label[self.workspace.ids()].tolist()) - {0}) > 1

    def truth(self, ids: np.ndarray) -> np.ndarray:
        """The most frequent class of segments, 0 to K - 1."""
        return self.pixels[ids].argmax(axis=1)

    def count(self, index: int) -> None:
        """Look at the segments of an image."""
        more = max(len(self.workspace.table) - len(self.pixels), 0)
        self.pixels = np.concatenate((self.pixels, np.zeros((more, self.n_classes), dtype=np.int64)))
        own, found = np.unique(self.workspace.segments(index), return_inverse=True)
        mixed = found.ravel() * self.n_classes + self.truths[index].ravel()
        self.pixels[own] = np.bincount(mixed, minlength=len(own) * self.n_classes).reshape(-1, self.n_classes)

    def iou(self) -> float:
        """Mean over the classes."""
        ids = self.workspace.ids()
        pixels, labels = self.pixels[ids], self.workspace.table.label[ids]
        total = pixels.sum(axis=0)
        scores = []
        for c in np.flatnonzero(total):
            own = pixels[labels == c + 1]
            scores.append(own[:, c].sum() / (total[c] + own.sum() - own[:, c].sum()))
        return float(np.mean(scores))

    def take_action(self) -> int:
        """Do the best thing; what it is charged, 0 where nothing is left."""
        ids = self.workspace.filtered("unlabelled")
        best = self._best(ids) if len(ids) else self._repair()
        gain = 0.0 if best is None else best[2]
        if self.correct and not len(ids):
            segment, corrected = self._worst()
            if segment is not None and self.kept * corrected / 2 > gain:
                self._correct(segment)
                return 2
        if best is None:
            return 0
        self.workspace.assign(best[0], best[1])
        return 1

    def _best(self, ids: np.ndarray) -> Found:
        """The click, box or lasso on segments without a class that is worth most."""
        truth = self.truth(ids)
        right = self.pixels[ids].max(axis=1) * self.worth[truth]
        i = int(right.argmax())
        best = [i], int(truth[i]), float(right[i])
        if len(ids) > 1:
            xy = self.workspace.xy(ids)
            more = [_box(xy, truth, right, self.pixels[ids].sum(axis=1)[:, np.newaxis] * self.worth)]
            if self.tool == "either":
                more.append(_lasso(xy, truth, right))
            best = max(best, *more, key=lambda found: found[2])
        return ids[best[0]], best[1] + 1, best[2]

    def _repair(self) -> Found | None:
        """A click on the segment whose wrong class costs most."""
        ids = self.workspace.ids()
        truth, labels = self.truth(ids), self.workspace.table.label[ids] - 1
        gain = (truth != labels) * self.pixels[ids].max(axis=1) * self.worth[truth]
        i = int(gain.argmax())
        return (ids[i : i + 1], int(truth[i]) + 1, float(gain[i])) if gain[i] > 0 else None

    def _worst(self) -> tuple[int | None, float]:
        """The segment with most pixels that are not of its most frequent class."""
        ids = np.setdiff1d(self.workspace.ids(), list(self.hopeless))
        second = np.argsort(self.pixels[ids], axis=1)[:, -2]
        corrected = self.pixels[ids, second]
        gain = np.where(corrected >= WORTH, corrected * self.worth[second], 0)
        i = int(gain.argmax())
        return (int(ids[i]), float(gain[i])) if gain[i] > 0 else (None, 0.0)

    def _correct(self, segment: int) -> None:
        """Split by two strokes, inside the second class and inside the rest; the parts get their classes."""
        workspace = self.workspace
        index = int(workspace.table.image[segment])
        mask = workspace.segments(index) == segment
        promised, right = np.sort(self.pixels[segment])[-2:]
        on = mask & (self.truths[index] == int(np.argsort(self.pixels[segment])[-2]))
        parts = np.concatenate(workspace.split(segment, _inner(on), _inner(mask & ~on)))
        self.count(index)
        kept = (self.pixels[parts].max(axis=1).sum() - right) / promised
        self.kept = 0.8 * self.kept + 0.2 * kept
        if kept < 0.5:
            self.hopeless.update(parts.tolist())
        workspace.embed()
        for part in parts.tolist():
            workspace.assign([part], int(self.pixels[part].argmax()) + 1)


def _box(xy: np.ndarray, truth: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> Found:
    """The best square around a segment; ``wrong`` is what a segment costs in each class, shape (n, K)."""
    centres = np.random.default_rng(len(xy)).permutation(len(xy))[:CENTRES]
    distance = np.abs(xy[centres, np.newaxis] - xy).max(axis=2)
    order = np.argsort(distance, axis=1, kind="stable")
    counts = np.arange(1, len(xy) + 1)
    best: Found = (order[0, :0], 0, 0.0)
    for c in np.unique(truth).tolist():
        own = (truth == c)[order]
        worth = np.where(own, right[order], -wrong[:, c][order]).cumsum(axis=1)
        worth[own.cumsum(axis=1) < PURE * counts] = 0
        i, last = np.unravel_index(int(worth.argmax()), worth.shape)
        if worth[i, last] > best[2]:
            best = order[i, : last + 1], c, float(worth[i, last])
    return best


def _lasso(xy: np.ndarray, truth: np.ndarray, right: np.ndarray) -> Found:
    """The best connected group of one class."""
    count = min(AROUND + 1, len(xy))
    near = nearest(xy, xy, count, same=True)[0][:, 1:]
    inside = (truth[near] == truth[:, np.newaxis]).mean(axis=1) >= ALIKE
    rows, columns = np.repeat(np.arange(len(xy)), count - 1), near.ravel()
    linked = inside[rows] & inside[columns] & (truth[rows] == truth[columns])
    graph = sparse.coo_matrix((linked[linked], (rows[linked], columns[linked])), shape=(len(xy),) * 2)
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    worth = np.bincount(group[inside], right[inside], minlength=group.max() + 1)
    chosen = np.flatnonzero((group == worth.argmax()) & inside)
    return chosen, int(truth[chosen[0]]) if len(chosen) else 0, float(worth.max())


def _inner(mask: np.ndarray) -> np.ndarray:
    """A thick stroke: the pixels at least half as deep inside as the deepest of the largest piece."""
    pieces = components(mask, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    depth = ndimage.distance_transform_edt(np.pad(pieces == sizes.argmax(), 1))[1:-1, 1:-1]
    return depth >= max(depth.max() / 2, 1)
