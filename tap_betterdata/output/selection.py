"""Which fields of a schema a catalog leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def deselected_fields(
    mask: Mapping[tuple[str, ...], bool],
    schema: Mapping[str, Any],
    kept: Mapping[str, Any],
) -> frozenset[str]:
    """Return the fields that are not selected, such as `channels.atp`.

    Those of the stream's schema that are not in the catalog's, `kept`, are not either.
    """
    return frozenset(
        # Of `properties`, `alertTypes`, `properties`, `expiry` every other one.
        ".".join(breadcrumb[1::2])
        for breadcrumb, is_selected in mask.items()
        if breadcrumb and not is_selected
    ).union(_missing(schema, kept))


def _missing(
    schema: Mapping[str, Any], kept: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    """Yield the fields of a schema that another one lacks, such as `channels.atp`."""
    for name, declared in schema["properties"].items():
        if name not in kept.get("properties", {}):
            yield f"{path}{name}"
            continue
        inner = declared.get("items", declared)
        if "properties" in inner:
            other = kept["properties"][name]
            other = other.get("items", inner) if "items" in declared else other
            yield from _missing(inner, other, f"{path}{name}.")
