"""The labels of images, gathered one by one, as class numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from argmind.data.images.base import ImageSource, Picture
from argmind.errors import UserError, unknown

#: What the ``datasets`` library writes where a label is held back.
_HIDDEN = -1


class Labels:
    """Labels that are all numbers, all names, or all missing."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._given: list[int | str | None] = []
        self._first: Picture | None = None

    def add(self, picture: Picture) -> None:
        """Take the label of one more image.

        Raises:
            UserError: it is no class, or of another kind than the labels before it.
        """
        label = None if picture.label == _HIDDEN else picture.label
        if label is not None and (isinstance(label, bool) or not isinstance(label, (int, str))):
            raise UserError(
                f"{picture.name} has the label {label!r}, where a class number or name is needed."
            )
        if isinstance(label, int) and label < 0:
            raise UserError(f"{picture.name} has the label {label}: class numbers begin at 0.")
        self._first = self._first or picture._replace(label=label, content=None)
        if type(label) is not type(self._first.label):
            raise UserError(
                f"{picture.name} has the label {label!r} and {self._first.name} has "
                f"{self._first.label!r}: label all images in one way, or none."
            )
        self._given.append(label)

    def finished(self) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
        """Class numbers (N,), or None without labels; and the names of the classes.

        Raises:
            UserError: a label that is not one of the source's classes.
        """
        if self._first is None or self._first.label is None:
            return None, ()
        classes = self._source.classes
        if isinstance(self._first.label, str):
            classes = classes or tuple(sorted({str(label) for label in self._given}))
            places = {name: place for place, name in enumerate(classes)}
            return np.array([_place(str(label), places) for label in self._given]), classes
        numbers = np.array(self._given, dtype=np.int64)
        classes = classes or tuple(str(number) for number in range(int(numbers.max()) + 1))
        if numbers.max() >= len(classes):
            raise UserError(
                f"{self._source.name}: a label is {numbers.max()}, where there are "
                f"{len(classes)} classes, 0 to {len(classes) - 1}."
            )
        return numbers, classes


def _place(name: str, places: dict[str, int]) -> int:
    if name not in places:
        raise unknown("class", name, places)
    return places[name]


def class_number(name: str, classes: tuple[str, ...]) -> int:
    """The number of the class of this name, or of the class that has this number.

    Raises:
        UserError: there is no such class.
    """
    if name in classes:
        return classes.index(name)
    if name.isascii() and name.isdigit() and int(name) < len(classes):
        return int(name)
    if not classes:
        raise UserError(f"there is no class '{name}': the images have no classes.")
    raise unknown("class", name, classes)
