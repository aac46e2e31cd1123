"""Display names and URIs of From, To and the like (RFC 3261 sections 20.20 and 25.1), as other people write them."""

from __future__ import annotations

import re

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""Whom we speak as for somebody who wants not to be known (RFC 3323 section 4.1.1.3)."""
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*')
_ESCAPED = re.compile(r"\\(.)")
_TAG = re.compile(r";\s*tag\s*=\s*[^;\s>]+", re.IGNORECASE)


def split_name_addr(value: str) -> tuple[str, str]:
    """Take display name, without quotes and escapes, and URI apart; header parameters are left out."""
    head, rest = _split_quoted(value)
    before, bracket, after = rest.partition("<")
    uri = after.partition(">")[0] if bracket else rest.partition(";")[0]
    quoted = _QUOTED.fullmatch(head)
    name = _ESCAPED.sub(r"\1", quoted[1]) if quoted else before if bracket else ""
    return name.strip(), uri.strip()


def write_name_addr(name: str, uri: str) -> str:
    """Write them as one value, the name in quotes."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{uri}>' if name else f"<{uri}>"


def tidy(value: str) -> str:
    """Write a value anew, so that a name which its writer should have quoted is."""
    return write_name_addr(*split_name_addr(value))


def without_name(value: str) -> str:
    """Take the display name off; the rest stays as it is."""
    _, rest = _split_quoted(value)
    _, bracket, uri = rest.partition("<")
    return bracket + uri if bracket else value


def without_tag(value: str) -> str:
    """Take the tag off a From or To value; the rest stays as its writer wrote it.

    What looks like a tag within the display name, or the URI in its brackets, is none.
    """
    head, rest = _split_quoted(value)
    before, bracket, parameters = rest.rpartition(">")
    return (head + before + bracket + _TAG.sub("", parameters, count=1)).strip()


def _split_quoted(value: str) -> tuple[str, str]:
    """Split off the quoted name at the beginning, in which anything may stand."""
    quoted = _QUOTED.match(value)
    end = quoted.end() if quoted else 0
    return value[:end], value[end:]
