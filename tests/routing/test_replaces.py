"""The Replaces header: what names a dialog, and what does not."""

from __future__ import annotations

import pytest

from routing.replaces import Replaces
from routing.texts import BadValue


@pytest.mark.parametrize(
    ("value", "dialog"),
    [
        (
            "98732@sip.example.com;from-tag=r33;to-tag=ff87ff",
            Replaces("98732@sip.example.com", "ff87ff", "r33"),
        ),
        ("12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only", Replaces("12adf2f34456gs5", "12345", "54321", True)),
        ("a ; To-Tag = 1 ; FROM-TAG=2;x=y", Replaces("a", "1", "2")),
    ],
)
def test_call_id_and_both_tags_name_a_dialog_in_any_order(value: str, dialog: Replaces) -> None:
    assert Replaces.parse(value) == dialog
    assert Replaces.parse(str(dialog)) == dialog


@pytest.mark.parametrize(
    "value",
    ["", "a", "a;to-tag=1", "a;from-tag=1", ";to-tag=1;from-tag=2", "a b;to-tag=1;from-tag=2", "a;to-tag=;from-tag=2"],
)
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(BadValue, match="names no dialog"):
        Replaces.parse(value)


def test_a_tag_given_twice_is_refused() -> None:
    with pytest.raises(BadValue, match="twice"):
        Replaces.parse("a;to-tag=1;from-tag=2;to-tag=3")
