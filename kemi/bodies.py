"""Bodies of requests that handoff itself reads: texts for the person, and keys."""

from __future__ import annotations

import re

import KSR

from kemi.message import SipError, body, header
from routing.speech import check_speech, fold
from routing.texts import BadValue

TEXT = "text/plain"
DTMF = "application/dtmf"
DTMF_RELAY = "application/dtmf-relay"
_SIGNAL = re.compile(r"^\s*signal\s*=\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_KEYS = {str(number): key for number, key in enumerate("0123456789*#ABCD")} | {key: key for key in "*#ABCD"}
"""Keys by what a body calls them: by themselves, or by their event of RFC 4733 section 3.2."""


def media_type() -> str:
    """Read the media type of the body, in lower case and without parameters; empty where there is none."""
    value = header("Content-Type") or header("c") or ""
    return value.partition(";")[0].strip().lower()


def summary_in_refer() -> str:
    """Read the body of a REFER, which is the summary, on one line; empty where there is none.

    Raises SipError 415 for a body of another type, unless its sender says that it may be ignored (RFC 3261 section
    20.11).
    """
    if not body():
        return ""
    if media_type() == TEXT:
        return fold(body())
    if re.search(r";\s*handling\s*=\s*optional\b", header("Content-Disposition") or "", re.IGNORECASE):
        return ""
    KSR.hdr.append_to_reply(f"Accept: {TEXT}\r\n")
    raise SipError(415, "The body of a REFER is the summary, as text/plain")


def read_summary() -> str:
    """Read the text/plain body of an INFO or MESSAGE; raises SipError 400 or 413 for one that cannot be spoken."""
    try:
        return check_speech(fold(body()), "the summary")
    except BadValue as error:
        raise SipError.of(error) from error


def read_key() -> str:
    """Read the key in the DTMF body of an INFO; raises SipError 400 where there is none."""
    found = _SIGNAL.search(body().replace("\r", "\n")) if media_type() == DTMF_RELAY else None
    word = found[1] if found else body().strip() if media_type() == DTMF else ""
    key = _KEYS.get(word.upper())
    if key is None:
        raise SipError(400, "No key in the body: write Signal=5 as application/dtmf-relay")
    return key
