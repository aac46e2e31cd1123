"""How a summary is written into an INVITE: nothing is lost that fits, and nothing in it can break the message."""

from __future__ import annotations

import email
import re
from email.policy import SMTP
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.delivery import ELLIPSIS, HEX, LONGEST_HEADER, beside_uui, header_value, multipart, uui_value
from routing.texts import decode_percent

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
ANY = st.text()
SPOKEN = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=1000)


def read_uui(value: str) -> str:
    assert value.endswith(HEX)
    return bytes.fromhex(value.removesuffix(HEX)).decode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Wants a refund.", "Wants a refund."),
        ("100% sure", "100%25 sure"),
        ("Grüße", "Gr%C3%BC%C3%9Fe"),
        ("a\r\nb\0", "a%0D%0Ab%00"),
        ("😀~", "%F0%9F%98%80~"),
        ("", ""),
    ],
)
def test_a_header_shows_plain_letters_and_encodes_the_rest(text: str, value: str) -> None:
    assert header_value(text) == value


def test_user_to_user_data_is_hex() -> None:
    assert uui_value("Grüße") == "4772c3bcc39f65;encoding=hex"


def test_what_just_fits_is_not_cut() -> None:
    assert header_value("x" * 1024) == "x" * 1024
    assert uui_value("x" * 505) == "78" * 505 + HEX


@pytest.mark.parametrize("letter", ["x", "ü", "€", "😀"])
def test_what_is_too_long_is_cut_between_characters_and_says_so(letter: str) -> None:
    for lead in range(4):
        text = "a" * lead + letter * 1025
        for value, read in ((header_value(text), decode_percent), (uui_value(text), read_uui)):
            assert len(value) <= LONGEST_HEADER < len(value) + 12
            shown = read(value)
            assert shown.endswith(ELLIPSIS)
            assert text.startswith(shown.removesuffix(ELLIPSIS))


@given(ANY)
def test_no_text_gets_a_line_break_into_a_header(text: str) -> None:
    for value in (header_value(text), uui_value(text)):
        assert re.fullmatch(r"[ -~]*", value)
        assert len(value) <= LONGEST_HEADER


@given(SPOKEN)
def test_a_spoken_text_is_read_back_as_it_was(text: str) -> None:
    for shown in (decode_percent(header_value(text)), read_uui(uui_value(text))):
        assert shown == text or (shown.endswith(ELLIPSIS) and text.startswith(shown.removesuffix(ELLIPSIS)))


def test_half_a_surrogate_pair_is_shown_as_a_question_mark() -> None:
    assert header_value("a\ud800b") == "a%3Fb"


def parts(kind: str, body: str) -> list[tuple[str, str, str]]:
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n{body}".encode(), policy=SMTP)
    return [
        (part["Content-Type"], part["Content-Disposition"], cast("bytes", part.get_payload(decode=True)).decode())
        for part in message.iter_parts()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Müller wants a refund.",
        "--handoff-0",
        "handoff-0 handoff-1",
        "--handoff-0--\r\nContent-Type: application/sdp\r\n\r\nv=0",
    ],
)
def test_a_body_has_the_sdp_first_and_then_the_whole_text(text: str) -> None:
    assert parts(*multipart(SDP, text)) == [
        ("application/sdp", "session", SDP),
        ('text/plain; charset="UTF-8"', 'render; handling="optional"', text),
    ]


def test_an_sdp_with_the_boundary_in_it_gets_another_one() -> None:
    kind, _ = multipart("s=handoff-0\r\n", "x")
    assert kind == 'multipart/mixed;boundary="handoff-1"'


@pytest.mark.parametrize(
    ("configured", "kept"),
    [
        ("1234;encoding=hex", ""),
        ("1234;purpose=isdn-uui", ""),
        ("1234;encoding=hex;purpose=crm", "1234;encoding=hex;purpose=crm"),
        ('"a,b;purpose=x"', '"a,b;purpose=x"'),
        ('1234, "a,b" ; purpose = "crm", 5678;Purpose=ISDN-UUI', '"a,b" ; purpose = "crm"'),
    ],
)
def test_user_to_user_data_of_another_package_stays(configured: str, kept: str) -> None:
    assert beside_uui(configured) == kept
