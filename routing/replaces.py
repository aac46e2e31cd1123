"""Replaces (RFC 3891): which dialog an INVITE takes the place of, as the one who gets the INVITE knows it."""

from __future__ import annotations

import dataclasses
import re
from typing import Self

from routing.texts import BadValue, shown

_WORD = r"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}-]+"
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_CALL_ID = re.compile(rf"{_WORD}(@{_WORD})?")


@dataclasses.dataclass(frozen=True, slots=True)
class Replaces:
    """The name of a dialog (RFC 3891 section 6.1); `to_tag` is the tag of the one who gets the INVITE."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False
    """Whether the dialog is to be left alone once it has been answered."""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the value of a Replaces header; raises BadValue."""
        call_id, *parameters = (part.strip() for part in value.split(";"))
        found: dict[str, str] = {}
        for parameter in parameters:
            name, _, setting = (part.strip() for part in parameter.partition("="))
            if name.lower() in found:
                raise BadValue(f"Replaces {shown(value)} has {shown(name)} twice", mend="leave one of them out")
            found[name.lower()] = setting
        to_tag, from_tag = found.get("to-tag", ""), found.get("from-tag", "")
        if not (_CALL_ID.fullmatch(call_id) and _TOKEN.fullmatch(to_tag) and _TOKEN.fullmatch(from_tag)):
            mend = "write it as call-id;to-tag=...;from-tag=..., percent-encoded within a URI"
            raise BadValue(f"Replaces {shown(value)} names no dialog", mend=mend)
        return cls(call_id, to_tag, from_tag, "early-only" in found)

    def __str__(self) -> str:
        """Write it as the value of the header."""
        early_only = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early_only}"
