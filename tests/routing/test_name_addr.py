"""Display names and URIs, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.name_addr import split_name_addr, tidy, without_name, without_tag, write_name_addr

URI = "sip:anna@h;user=phone"


@pytest.mark.parametrize(
    ("value", "name", "uri"),
    [
        (f"<{URI}>", "", URI),
        (f"<{URI}>;tag=1", "", URI),
        ("sip:anna@h;tag=1", "", "sip:anna@h"),
        (f"Anna  Roe <{URI}>", "Anna  Roe", URI),
        (f'"Anna, <Roe>; \\"A\\" \\\\" <{URI}>;x=1', 'Anna, <Roe>; "A" \\', URI),
        (f' "" <{URI}>', "", URI),
        (f'"Jörg"<{URI}>', "Jörg", URI),
        (f"Jörg <{URI}>", "Jörg", URI),
        (f'"open <{URI}>', '"open', URI),
        (f'"Jo"e" <{URI}>', "Jo", URI),
        ("", "", ""),
    ],
)
def test_name_and_uri_are_taken_apart(value: str, name: str, uri: str) -> None:
    assert split_name_addr(value) == (name, uri)


@given(st.text().map(str.strip))
def test_any_name_survives_being_written(name: str) -> None:
    assert split_name_addr(write_name_addr(name, URI)) == (name, URI)
    assert tidy(write_name_addr(name, URI)) == write_name_addr(name, URI)
    assert without_name(write_name_addr(name, URI)) == f"<{URI}>"
    assert without_tag(f"{write_name_addr(name, URI)};tag=a") == write_name_addr(name, URI)


def test_a_name_that_should_have_been_quoted_is() -> None:
    assert tidy(f"Jörg Müller <{URI}>;x=1") == f'"Jörg Müller" <{URI}>'
    assert tidy("sip:anna@h") == "<sip:anna@h>"


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("<sip:a@h>;tag=1", "<sip:a@h>"),
        ("sip:a@h ; TAG = 1;x=2", "sip:a@h ;x=2"),
        ("<sip:a@h;tag=uri>;x=1;tag=2", "<sip:a@h;tag=uri>;x=1"),
        ('"a;tag=b" <sip:a@h>;tag=1', '"a;tag=b" <sip:a@h>'),
        ('"a>;tag=b" <sip:a@h>', '"a>;tag=b" <sip:a@h>'),
    ],
)
def test_only_the_tag_is_taken_off(value: str, rest: str) -> None:
    assert without_tag(value) == rest


def test_a_value_without_a_name_stays_as_it_is() -> None:
    for value in ("<sip:a@h>;tag=1", "sip:a@h;tag=1", ""):
        assert without_name(value) == value
