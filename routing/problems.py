"""What is wrong with a file or a value that people gave, where, and how to mend it: all of it at once."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from routing.texts import BadValue, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

MENDS = {
    "tuple_type": "write it as a list: [...]",
    "dict_type": "write it as a table: {...}",
    "model_type": "write it as a table: {...}",
    "too_short": "give at least one",
    "string_too_short": "give some text, or leave the setting out",
}
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its place, what it is, and how to mend it."""

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.mend}"


class InvalidInputError(Exception):
    """Something that people gave cannot be used; its text is one line per problem."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = list(problems)

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        return "\n".join([f"{self.source} has {count}:", *(f"  {problem}" for problem in self.problems)])


def place(path: Iterable[str | int]) -> str:
    """Write a path as in TOML: pools[0].agents[1].uri."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":  # pydantic's word for "the key, not its value"
            text += f".{part}" if BARE_KEY.fullmatch(part) else f".{shown(part)}"
    return text.removeprefix(".")


def explain(error: ValidationError, model: type[BaseModel], secrets: Container[str] = ()) -> list[Problem]:
    """Turn what pydantic found into problems; values below the top-level keys in `secrets` are not shown."""
    # A list whose items are all bad counts as empty for pydantic: its items have been reported.
    told = [found for found in error.errors() if not (found["type"] == "too_short" and found["input"])]
    return [_explain(found, model, secrets) for found in told]


def _explain(found: ErrorDetails, model: type[BaseModel], secrets: Container[str]) -> Problem:
    path, kind, given = found["loc"], found["type"], found["input"]
    where = place(path) or "the whole"
    if kind == "extra_forbidden":
        return Problem(where, "is not known here", nearest(str(path[-1]), _fields_at(model, path[:-1])))
    if kind == "missing":
        example = (_fields_at(model, path[:-1])[str(path[-1])].examples or ["..."])[0]
        return Problem(where, "is missing", f"add {path[-1]} = {example}")
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, BadValue):
        return Problem(where, cause.what, cause.mend or "correct it")
    mend = MENDS.get(kind) or found["msg"].replace("Input should", "it must")
    if isinstance(given, dict | list | tuple) or (path and path[0] in secrets):
        return Problem(where, "this cannot be used", mend)
    return Problem(where, f"{shown(given)} cannot be used", mend)


def _fields_at(model: type[BaseModel], path: Iterable[str | int]) -> Mapping[str, FieldInfo]:
    """Look up the fields of the model at a path, to name the one that may have been meant."""
    for part in path:
        if isinstance(part, str):
            model = _models(model.model_fields[part].annotation)[0]
    return model.model_fields


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Find the models within an annotation such as tuple[Pool, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in typing.get_args(annotation) for model in _models(inner)]
