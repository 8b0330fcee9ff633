"""What engines computed for each slice, bounded in bytes; the least recently used goes first."""

from __future__ import annotations

import dataclasses
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.entries import Entry
from napari_scribseg.annotate.events import Update
from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.engine import Engine, Segmentation
from napari_scribseg.core.image import Image
from napari_scribseg.core.source import SliceIndex

__all__ = ["MISSING", "EngineCache", "Lru", "PackedResult", "engine_key", "size_of"]

MISSING: Any = object()

_FLAT = 64  # bytes that any object counts for besides its content
_LEVELS = 255


def size_of(value: object) -> int:
    """Bytes of memory of an object, found by walking through it; shared parts count once.

    Arrays and tensors of any library count by their ``nbytes``; containers, dataclasses and plain objects by their
    parts.
    """
    seen: set[int] = set()
    stack: list[object] = [value]
    total = 0
    while stack:
        item = stack.pop()
        if item is None or isinstance(item, (bool, int, float, complex, type)) or id(item) in seen:
            continue
        seen.add(id(item))
        total += _FLAT
        size = None if isinstance(item, type) else getattr(item, "nbytes", None)
        if isinstance(item, (bytes, bytearray, str)):
            total += len(item)
        elif isinstance(size, (int, np.integer)):
            total += int(size)
        else:
            stack.extend(_parts(item))
    return total


def _parts(item: object) -> list[object]:
    """The objects that ``item`` refers to."""
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()]
    if isinstance(item, (Sequence, Set)):
        return list(item)
    if dataclasses.is_dataclass(item):
        return [getattr(item, f.name, None) for f in dataclasses.fields(item)]
    slots = [name for cls in type(item).__mro__ for name in _names(getattr(cls, "__slots__", ()))]
    return [*getattr(item, "__dict__", {}).values(), *(getattr(item, name, None) for name in slots)]


def _names(slots: Any) -> tuple[str, ...]:
    """``__slots__`` may be one name."""
    return (slots,) if isinstance(slots, str) else tuple(slots)


class Lru:
    """Values by key, bounded in bytes; a key is a tuple whose second part names what the value belongs to.

    All values that belong to what was put last stay even beyond the bound (unless that is zero), so that the next
    stroke on a large slice need not begin from nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[tuple[Hashable, ...], tuple[Any, int]] = OrderedDict()
        self.nbytes = 0

    def get(self, key: tuple[Hashable, ...], default: Any = None) -> Any:
        """The value, which then counts as used last."""
        if key not in self._values:
            return default
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: tuple[Hashable, ...], value: Any) -> None:
        """Store a value, and drop those used longest ago until all fit."""
        self.drop(key)
        size = size_of(value)
        if not self.limit:
            return
        self._values[key] = value, size
        self.nbytes += size
        while self.nbytes > self.limit:
            oldest = next((other for other in self._values if other[1] != key[1]), None)
            if oldest is None:
                break
            self.drop(oldest)

    def drop(self, key: tuple[Hashable, ...]) -> None:
        """Drop one value, if it is there."""
        if key in self._values:
            self.nbytes -= self._values.pop(key)[1]

    def drop_where(self, chosen: Callable[[Any], bool]) -> None:
        """Drop every value whose key is chosen."""
        for key in [key for key in self._values if chosen(key)]:
            self.drop(key)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True, eq=False)
class PackedResult:
    """A result whose probabilities are rounded to 1/255 and compressed; takes some milliseconds to make.

    Attributes
    ----------
    values : bytes
        The probabilities.
    shape : tuple of int
        (K, H, W).
    ids : tuple of int
        Label id of each of the K classes.
    notes, curve
        As of the :class:`~napari_scribseg.core.Segmentation`.
    """

    values: bytes
    shape: tuple[int, ...]
    ids: tuple[int, ...]
    notes: tuple[str, ...]
    curve: LossCurve | None

    @classmethod
    def of(cls, segmentation: Segmentation[object], ids: tuple[int, ...]) -> PackedResult:
        """Pack a result."""
        values = np.rint(segmentation.probabilities * _LEVELS).astype(np.uint8)
        return cls(zlib.compress(values.tobytes(), 1), values.shape, ids, segmentation.notes, segmentation.curve)

    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities, shape (K, H, W); no value is off by more than 1/510."""
        values = np.frombuffer(zlib.decompress(self.values), np.uint8).reshape(self.shape)
        return values.astype(np.float32) / np.float32(_LEVELS)


class EngineCache:
    """Images of slices, what engines prepared for them, where they can continue, and their results.

    Parameters
    ----------
    limit : int
        Bound in bytes, of images, states and last results together, and of packed results together.
    """

    def __init__(self, limit: int) -> None:
        self._states = Lru(limit)
        self._packed = Lru(limit)  # by the log entry that they made

    def image(self, slice_index: SliceIndex) -> Image | None:
        """The image of a slice, if it is cached."""
        return cast("Image | None", self._states.get(("image", slice_index)))

    def put_image(self, slice_index: SliceIndex, image: Image) -> None:
        """Store the image of a slice."""
        self._states.put(("image", slice_index), image)

    def prepared(self, slice_index: SliceIndex, engine: Engine[Any], device: str) -> Any:
        """What an engine prepared for a slice, or :data:`MISSING`."""
        return self._states.get(_state_key("prepared", slice_index, engine, device), MISSING)

    def put_prepared(self, slice_index: SliceIndex, engine: Engine[Any], device: str, state: Any) -> None:
        """Store what an engine prepared for a slice."""
        self._states.put(_state_key("prepared", slice_index, engine, device), state)

    def warm(self, slice_index: SliceIndex, engine: Engine[Any], device: str) -> Any:
        """The state after an engine's last result for a slice, or :data:`MISSING`."""
        return self._states.get(_state_key("warm", slice_index, engine, device), MISSING)

    def put_warm(self, slice_index: SliceIndex, engine: Engine[Any], device: str, state: Any) -> None:
        """Store the state after an engine's result for a slice."""
        self._states.put(_state_key("warm", slice_index, engine, device), state)

    def invalidate_warm(self, slice_index: SliceIndex) -> None:
        """Let the next stroke on a slice start from the prepared state: results to continue from were undone."""
        self._states.drop_where(lambda key: key[0] == "warm" and key[1] == slice_index)

    def put_result(self, entry: Entry, update: Update, packed: PackedResult | None) -> None:
        """Store the result that a log entry is of."""
        self._states.put(("result", entry.slice_index), (entry.sequence, update))
        self._packed.put(("result", entry.sequence), packed)

    def packed(self, entry: Entry) -> PackedResult | None:
        """The result that a log entry is of, its probabilities rounded, if it is cached."""
        return cast("PackedResult | None", self._packed.get(("result", entry.sequence)))

    def result(self, entry: Entry, labels: NDArray[Any]) -> Update | None:
        """The result that a log entry is of, if it is cached; probabilities of all but the last of a slice are rounded.

        ``labels``, shape (H, W), are those of the slice now.
        """
        sequence, last = self._states.get(("result", entry.slice_index), (None, None))
        if sequence == entry.sequence:
            return cast(Update, last)
        packed = self.packed(entry)
        if packed is None:
            return None
        nothing = slice(0, 0), slice(0, 0)
        return Update(
            entry.slice_index, labels, nothing, packed.probabilities(), packed.ids, True, packed.notes, 0, packed.curve
        )

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._states.nbytes + self._packed.nbytes


def _state_key(kind: str, slice_index: SliceIndex, engine: Engine[Any], device: str) -> tuple[Hashable, ...]:
    return kind, slice_index, device, engine_key(engine)


def engine_key(engine: Engine[Any]) -> tuple[str, str]:
    """The same for engines of one class with equal parameters."""
    return type(engine).__qualname__, repr(engine)
