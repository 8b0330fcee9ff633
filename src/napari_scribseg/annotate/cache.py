"""What engines remember of each slice: the least recently used is forgotten first."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from typing import Any

import numpy as np

__all__ = ["MISSING", "Lru", "size_of"]

MISSING: Any = object()

_FLAT = 64  # what any object is counted for besides its content


def size_of(value: object) -> int:
    """Bytes that an object holds, found by walking through it; shared parts count once.

    Arrays and tensors of any library count by their ``nbytes``; containers, dataclasses and plain objects by what they
    hold. No library is imported for it.
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

    Everything that belongs to what was put last is kept even beyond the bound (unless that is zero), so that the next
    stroke on a large slice need not begin from nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: OrderedDict[tuple[Hashable, ...], tuple[Any, int]] = OrderedDict()
        self.nbytes = 0

    def get(self, key: tuple[Hashable, ...], default: Any = None) -> Any:
        """The value, which then counts as used last."""
        if key not in self._held:
            return default
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: tuple[Hashable, ...], value: Any) -> None:
        """Remember a value, and forget those used longest ago until all fit."""
        self.drop(key)
        size = size_of(value)
        if not self.limit:
            return
        self._held[key] = value, size
        self.nbytes += size
        while self.nbytes > self.limit:
            oldest = next((other for other in self._held if other[1] != key[1]), None)
            if oldest is None:
                break
            self.drop(oldest)

    def drop(self, key: tuple[Hashable, ...]) -> None:
        """Forget one value, if it is there."""
        if key in self._held:
            self.nbytes -= self._held.pop(key)[1]

    def drop_where(self, chosen: Callable[[Any], bool]) -> None:
        """Forget every value whose key is chosen."""
        for key in [key for key in self._held if chosen(key)]:
            self.drop(key)

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
        self.nbytes = 0

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)
