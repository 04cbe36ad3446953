"""Read fields of an API object, or say which one is malformed. Does no I/O.

A field that is absent or null reads as empty, as it does for the API server; one of the wrong type raises
`Invalid` with its path: "spec.containers[0].resources.limits.cpu is 'lots', not a quantity".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from lablib.errors import Invalid


@dataclass(frozen=True)
class Fields:
    """One mapping inside an API object, and the way to it."""

    values: Mapping[str, Any]
    where: str
    """The object it belongs to: "Pod default/train"."""
    path: str = ""

    def part(self, key: str) -> Fields:
        """The mapping at `key`; empty when absent."""
        return self._within(key, self.values.get(key))

    def items(self, key: str) -> tuple[Fields, ...]:
        """The mappings in the list at `key`."""
        return tuple(self._within(f"{key}[{number}]", item) for number, item in enumerate(self._list(key)))

    def text(self, key: str, default: str = "") -> str:
        """The string at `key`."""
        value = self.values.get(key)
        if not isinstance(value, str | None):
            raise self.malformed(key, value, "a string")
        return default if value is None else value

    def texts(self, key: str) -> Mapping[str, str]:
        """The mapping of strings at `key`, as labels and annotations are; read-only."""
        part = self.part(key)
        return MappingProxyType({name: part.text(name) for name in part.values})

    def words(self, key: str) -> tuple[str, ...]:
        """The list of strings at `key`."""
        found = self._list(key)
        if not all(isinstance(word, str) for word in found):
            raise self.malformed(key, found, "a list of strings")
        return tuple(found)

    def number(self, key: str) -> int:
        """The whole number at `key`; 0 when absent."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | None):
            raise self.malformed(key, value, "a whole number")
        return value or 0

    def flag(self, key: str) -> bool:
        """The boolean at `key`; false when absent."""
        value = self.values.get(key)
        if not isinstance(value, bool | None):
            raise self.malformed(key, value, "true or false")
        return bool(value)

    def quantities(self, key: str) -> dict[str, Decimal]:
        """The mapping of resource quantities at `key`."""
        part = self.part(key)
        return {name: part.quantity(name) for name in part.values}

    def quantity(self, key: str) -> Decimal:
        """The resource quantity at `key`, in its base unit: cores, bytes, or how many."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.malformed(key, value, "a quantity")
        try:
            quantity = Decimal(parse_quantity(value))
        except ValueError as error:
            raise self.malformed(key, value, "a quantity") from error
        if not quantity.is_finite() or quantity < 0:
            raise self.malformed(key, value, "a quantity of 0 or more")
        return quantity

    def seconds(self, key: str) -> float:
        """The time at `key` as Unix time; 0 when absent."""
        text = self.text(key)
        try:
            return datetime.fromisoformat(text).timestamp() if text else 0.0
        except ValueError as error:
            raise self.malformed(key, text, "a time such as 2026-01-31T12:00:00Z") from error

    def malformed(self, key: str, value: object, expected: str) -> Invalid:
        """The error that says what is wrong with the value at `key`."""
        return self.refusal(f"{self._at(key)} is {value!r}, not {expected}")

    def refusal(self, what: str) -> Invalid:
        """The error that says what is wrong with the object."""
        return Invalid(what, where=self.where, remedy="Correct the manifest.")

    def _within(self, key: str, value: object) -> Fields:
        if not isinstance(value, Mapping | None):
            raise self.malformed(key, value, "a mapping")
        return Fields(value or {}, self.where, self._at(key))

    def _list(self, key: str) -> Sequence[Any]:
        value = self.values.get(key)
        if not isinstance(value, list | tuple | None):
            raise self.malformed(key, value, "a list")
        return value or ()

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def fields_of(manifest: object) -> Fields:
    """The fields of a whole API object.

    Raises:
        Invalid: it is no mapping, or has no kind or name.
    """
    if not isinstance(manifest, Mapping):
        raise Invalid(f"a manifest is a mapping, not {type(manifest).__name__}")
    top = Fields(manifest, "a manifest")
    kind, metadata = top.text("kind"), top.part("metadata")
    name, namespace = metadata.text("name"), metadata.text("namespace")
    title = f"{kind or 'object'} {namespace + '/' if namespace else ''}{name or '(no name)'}"
    for key, value in (("kind", kind), ("metadata.name", name)):
        if not value:
            raise Invalid(f"{key} is missing", where=title, remedy=f"Give the manifest a {key}.")
    return Fields(manifest, title)


def whole(quantity: Decimal, per: int = 1, *, up: bool = False) -> int:
    """`quantity` in units of 1/`per`, rounded down (or `up`): 0.25 cores per 1000 are 250."""
    scaled = quantity * per
    return math.ceil(scaled) if up else math.floor(scaled)


def time_text(seconds: float) -> str:
    """Unix time as API objects write it, in whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
