"""How targets are shown: as data for programs, and as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.target_logins import endpoint_text
from routing.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS = ("NAME", "MODE", "RINGS", "CALLER ID", "CODECS", "ENDPOINTS")
MORE = "MORE"
SHORT = 40
"""Letters of a text that a line of the list has room for."""
_IN_SECONDS = {"pause_before", "pause_after", "accept_timeout", "probe_every"}
_BASIC = {"name", "mode", "ring_timeout", "caller_id", "codecs", "endpoints", "headers"}


def target_data(target: Target) -> dict[str, Any]:
    """Give all fields of a target, for programs."""
    return target.model_dump(mode="json")


def target_fields(target: Target) -> list[tuple[str, str]]:
    """Give what people want to see of a target, of its other settings those that differ from what is usual."""
    headers = ((f"header {name}", value) for name, value in target.headers.items())
    return [*_basic(target), *headers, *_others(target)]


def target_table(targets: Iterable[Target]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give columns and rows of the list of targets; other settings, where there are any, in a column of their own."""
    rows = [([value for _, value in _basic(target)], _others(target)) for target in targets]
    if not any(others for _, others in rows):
        return COLUMNS, [basic for basic, _ in rows]
    return (*COLUMNS, MORE), [
        [*basic, ", ".join(f"{name} {_shortened(value)}" for name, value in others)] for basic, others in rows
    ]


def _basic(target: Target) -> list[tuple[str, str]]:
    return [
        ("name", target.name),
        ("mode", target.mode),
        ("rings", f"{target.ring_timeout:g} s"),
        ("caller id", target.caller_id),
        ("codecs", ", ".join(target.codecs) or "as configured"),
        ("endpoints", ", ".join(endpoint_text(endpoint) for endpoint in target.endpoints)),
    ]


def _others(target: Target) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), _words(name, getattr(target, name)))
        for name, field in Target.model_fields.items()
        if name not in _BASIC and getattr(target, name) != field.default
    ]


def _words(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ("; " if name == "hours" else ", ").join(value)
    return f"{value:g} s" if name in _IN_SECONDS else str(value)


def _shortened(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."
