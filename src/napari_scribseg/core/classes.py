"""The classes of a label volume: ids, names and colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from napari_scribseg.core.errors import InputError

__all__ = ["MAX_ID", "ClassTable", "LabelClass"]

MAX_ID = 65535

# Distinct at a glance, also with the common colour blindnesses, and on grey images: the qualitative scheme of Okabe and
# Ito (2008), black replaced by a light green, then darker repeats.
_PALETTE = (
    (0.84, 0.37, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.80, 0.47, 0.65),
    (0.00, 0.45, 0.70),
    (0.90, 0.62, 0.00),
    (0.55, 0.95, 0.70),
)

_BACKGROUND = (0.75, 0.25, 1.0, 1.0)  # violet: seen on every grey, and no class has it

Color = tuple[float, float, float, float]


def default_color(identity: int) -> Color:
    """The default colour of a class: RGBA in [0, 1], the same for the same id."""
    r, g, b = _PALETTE[(identity - 1) % len(_PALETTE)]
    shade = 0.72 ** (((identity - 1) // len(_PALETTE)) % 4)
    return (r * shade, g * shade, b * shade, 1.0)


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class.

    Attributes
    ----------
    id : int
        Value in the label volume and in the scribble layer, 1..65535.
    name : str
        What the user calls it.
    color : tuple of 4 float
        RGBA in [0, 1].
    visible, locked : bool
        Whether its voxels are shown, and whether a result may change them.
    background : bool
        Its strokes mark the background: in the label volume it is written as 0.
    """

    id: int
    name: str
    color: Color
    visible: bool = True
    locked: bool = False
    background: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.id <= MAX_ID:
            raise InputError(f"the class {self.name!r} has the id {self.id}; expected 1 to {MAX_ID}")
        if len(self.color) != 4 or not all(0 <= c <= 1 for c in self.color):
            raise InputError(f"the class {self.name!r} has the colour {self.color}; expected RGBA in [0, 1]")

    @property
    def is_named(self) -> bool:
        """Whether it has a name of its own, or that of the background."""
        return self.background or self.name != f"class {self.id}"


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The classes in their order on the screen; immutable, every change returns a new table."""

    classes: tuple[LabelClass, ...] = ()

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        if len(set(ids)) != len(ids):
            double = sorted(i for i, count in Counter(ids).items() if count > 1)
            shown = ", ".join(map(str, double[:10])) + (", ..." if len(double) > 10 else "")
            raise InputError(f"the ids [{shown}] are in the class table more than once; each id is expected once")
        if sum(c.background for c in self.classes) > 1:
            raise InputError("more than one class is marked as background; at most one is expected")

    @classmethod
    def from_ids(cls, ids: Iterable[int], *, background: int | None = None) -> ClassTable:
        """A table with default names and colours; ``background`` is the id that stands for the background."""
        return (
            cls().with_ids(ids)
            if background is None
            else cls().with_ids([background]).as_background(background).with_ids(ids)
        )

    def __iter__(self) -> Iterator[LabelClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, identity: object) -> bool:
        return any(c.id == identity for c in self.classes)

    def __getitem__(self, identity: int) -> LabelClass:
        for c in self.classes:
            if c.id == identity:
                return c
        raise KeyError(identity)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids in the order of the table."""
        return tuple(c.id for c in self.classes)

    @property
    def background(self) -> int | None:
        """The id whose strokes mark the background, if any."""
        return next((c.id for c in self.classes if c.background), None)

    @property
    def is_plain(self) -> bool:
        """Whether every class, but for the background, has its default name and colour."""
        return all(c.background or (not c.is_named and c.color[:3] == default_color(c.id)[:3]) for c in self.classes)

    def free_id(self) -> int:
        """The smallest id that no class has."""
        taken = set(self.ids)
        return next(i for i in range(1, MAX_ID + 2) if i not in taken)

    def with_ids(self, ids: Iterable[int]) -> ClassTable:
        """This table with default classes added for the ids that it lacks; 0 is skipped."""
        present = set(self.ids)  # a volume of cells has thousands of ids
        new = [int(i) for i in ids if i != 0 and i not in present]
        made = tuple(LabelClass(i, f"class {i}", default_color(i)) for i in dict.fromkeys(new))
        return ClassTable(self.classes + made)

    def with_class(self, label: LabelClass) -> ClassTable:
        """This table with one class added, or replaced where the table has its id."""
        if label.id in self:
            return ClassTable(tuple(label if c.id == label.id else c for c in self.classes))
        return ClassTable((*self.classes, label))

    def with_names(self, names: Iterable[str], selected: int | None = None) -> ClassTable:
        """This table with classes of these names.

        The names go to classes that have no name of their own: from the class ``selected`` on if it has none, from the
        first on if it is the background. Further names, and all of them where ``selected`` has a name, become new
        classes. A name that a class has already, in upper or lower case, is left out.

        Parameters
        ----------
        names : iterable of str
        selected : int, optional
            The id of a class; as the background where the table has no such class.

        Examples
        --------
        >>> table = ClassTable.from_ids([1], background=255).with_names(["liver", "spleen"], selected=1)
        >>> [(label.id, label.name) for label in table]
        [(255, 'background'), (1, 'liver'), (2, 'spleen')]
        """
        rows = self.classes
        if selected is not None and selected in self and not self[selected].background:
            rows = () if self[selected].is_named else rows[self.ids.index(selected) :]
        unnamed = [c for c in rows if not c.is_named]
        table, taken = self, {c.name.lower() for c in self.classes}
        for name in names:
            if name.lower() in taken:
                continue
            taken.add(name.lower())
            label = unnamed.pop(0) if unnamed else None
            if label is None:
                identity = table.free_id()
                label = LabelClass(identity, name, default_color(identity))
            table = table.with_class(replace(label, name=name))
        return table

    def successor(self, identity: int | None, former: ClassTable) -> int | None:
        """The class to paint with instead of one of a former table: itself, else the one that has its row now.

        Returns
        -------
        int or None
            None for None, for an id that the former table lacks, too, and in an empty table.

        Examples
        --------
        >>> former = ClassTable.from_ids([1, 2], background=255)
        >>> former.without(2).successor(2, former)
        1
        """
        if identity is None or identity in self:
            return identity
        if identity not in former or not self.classes:
            return None
        return self.classes[min(former.ids.index(identity), len(self) - 1)].id

    def with_parts(self, identity: int, ids: Iterable[int]) -> ClassTable:
        """This table with classes added for the ids that it lacks, with the name of a class and a number: liver 2."""
        table, taken = self.with_ids([identity]), {c.name for c in self.classes}
        name = table[identity].name
        numbered = (f"{name} {number}" for number in count(2))
        for new in sorted(set(ids) - {0} - set(table.ids)):
            free = next(text for text in numbered if text not in taken)
            table = table.with_class(LabelClass(new, free, default_color(new)))
        return table

    def without(self, identity: int) -> ClassTable:
        """This table less one class."""
        return ClassTable(tuple(c for c in self.classes if c.id != identity))

    def as_background(self, identity: int) -> ClassTable:
        """This table with the class ``identity`` as the background, named and coloured so."""
        return self.with_class(replace(self[identity], name="background", color=_BACKGROUND, background=True))
