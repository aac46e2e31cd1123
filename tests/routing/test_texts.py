"""Small texts come back in their normal form, or are refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import texts


class TestTexts:
    """Small texts come back in their normal form or are refused with a reason."""

    def test_an_error_says_what_is_wrong_and_how_to_mend_it(self) -> None:
        assert str(texts.BadValue("it is wrong", mend="do this")) == "it is wrong; do this"
        assert str(texts.BadValue("it is wrong")) == "it is wrong"
        assert texts.BadValue("it is wrong").status == 400

    def test_what_is_shown_is_short_and_hides_the_password_of_a_uri(self) -> None:
        assert texts.shown("sip:bob:p@ss:word@host") == "'sip:bob:***@host'"
        assert texts.shown("sip:bob@host") == "'sip:bob@host'"
        assert texts.shown("a\r\nb") == r"'a\r\nb'"
        assert texts.shown(5) == "5"
        assert len(texts.shown("x" * 1000)) <= texts.SHOWN
        assert texts.shown("x" * 1000).endswith("...'")

    def test_the_nearest_known_word_is_named_or_all_of_them(self) -> None:
        assert texts.nearest("Listn", ["port", "listen"]) == "did you mean listen?"
        assert texts.nearest("zzz", ["b", "a"]) == "known are: a, b"

    @pytest.mark.parametrize("character", ["\r", "\n", "\0", "\x1b", "\x7f", "\x85", "\ud800"])
    def test_control_characters_are_refused_as_they_are(self, character: str) -> None:
        with pytest.raises(texts.BadValue, match="control character"):
            texts.check_text(f"a{character}b")

    @pytest.mark.parametrize("escape", ["%0d", "%0A", "%00", "%C2%85"])
    def test_control_characters_are_refused_percent_encoded(self, escape: str) -> None:
        with pytest.raises(texts.BadValue, match="control character"):
            texts.decode_percent(f"a{escape}b")

    def test_tab_is_no_forbidden_control_character(self) -> None:
        assert texts.decode_percent("a%09b") == "a\tb"

    def test_percent_encoded_utf8_is_decoded(self) -> None:
        assert texts.decode_percent("Gr%C3%BC%c3%9fe, 100%25") == "Grüße, 100%"

    @pytest.mark.parametrize("text", ["100%", "%4", "%zz", "%ff", "%C3", "\ud800"])
    def test_what_is_not_percent_encoded_utf8_is_refused(self, text: str) -> None:
        with pytest.raises(texts.BadValue):
            texts.decode_percent(text)

    @given(st.text())
    def test_decoding_gives_text_without_line_ends_or_refuses(self, text: str) -> None:
        try:
            decoded = texts.decode_percent(text)
        except texts.BadValue:
            return
        assert not set(decoded) & set("\r\n\0")

    @pytest.mark.parametrize("name", ["support", "+49301234", "a.b_c-d", "1", "x" * 64])
    def test_a_name_is_taken_as_it_is(self, name: str) -> None:
        assert texts.check_name(name) == name

    @pytest.mark.parametrize("name", ["", "-a", "a b", "a@b", "ü", "a\n", "x" * 65])
    def test_a_text_that_cannot_be_a_name_is_refused(self, name: str) -> None:
        with pytest.raises(texts.BadValue, match="is not a name"):
            texts.check_name(name)

    @pytest.mark.parametrize(
        ("text", "normal"),
        [
            ("PBX.Example.COM.", "pbx.example.com"),
            ("node1", "node1"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ],
    )
    def test_a_host_comes_back_in_its_normal_form(self, text: str, normal: str) -> None:
        assert texts.check_host(text) == normal

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a_b",
            "-a",
            "a..b",
            "1.2.3",
            "999.1.1.1",
            "[1.2.3.4]",
            "[::1",
            "[fe80::1%25eth0]",
            "a\n",
            "x" * 64,
            "a." * 127 + "a",
        ],
    )
    def test_a_text_that_cannot_be_a_host_is_refused(self, text: str) -> None:
        with pytest.raises(texts.BadValue, match="is not a host"):
            texts.check_host(text)

    def test_an_ipv6_address_may_stand_without_brackets_where_only_an_address_can(self) -> None:
        assert texts.check_address("::1") == "[::1]"

    @pytest.mark.parametrize(("text", "pair"), [("h:1", ("h", 1)), ("[::1]:65535", ("[::1]", 65535))])
    def test_host_and_port_are_split(self, text: str, pair: tuple[str, int]) -> None:
        assert texts.split_host_port(text) == pair

    @pytest.mark.parametrize("text", ["h", "::1", "h:0", "h:65536", "h:", "h:٣", ":5060", "h:5060\n"])
    def test_a_text_that_is_not_host_and_port_is_refused(self, text: str) -> None:
        with pytest.raises(texts.BadValue):
            texts.split_host_port(text)

    def test_a_number_loses_its_separators(self) -> None:
        assert texts.check_number("+49 (30) 12-34.5") == "+493012345"
        assert texts.check_number("0301234") == "0301234"

    @pytest.mark.parametrize("text", ["", "+", "+0123", "+1234567890123456", "1234567890123456", "abc", "٣٣"])
    def test_a_text_that_is_not_a_number_is_refused(self, text: str) -> None:
        with pytest.raises(texts.BadValue, match="is not a number"):
            texts.check_number(text)


class TestHeaders:
    """People may add X-... and User-to-User headers, and nothing that handoff or the routing depends on."""

    @pytest.mark.parametrize("name", ["X-Case", "x-a.b", "User-to-User", "user-to-user"])
    def test_own_headers_may_be_set(self, name: str) -> None:
        assert texts.check_header_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "Via",
            "From",
            "f",
            "To",
            "Call-ID",
            "i",
            "CSeq",
            "Contact",
            "m",
            "Content-Type",
            "Route",
            "Record-Route",
            "Max-Forwards",
            "Authorization",
            "Proxy-Authorization",
            "P-Asserted-Identity",
            "Subject",
            "X",
            "X-",
            "X-Handoff-Call",
            "x-handoff-mode",
        ],
    )
    def test_all_other_headers_are_refused(self, name: str) -> None:
        with pytest.raises(texts.BadValue):
            texts.check_header_name(name)

    @pytest.mark.parametrize("name", ["", "X-A B", "X-A:", "X-A\r\nVia", "X-Ä", "X-A\n"])
    def test_a_text_that_is_not_a_token_is_refused_as_a_name(self, name: str) -> None:
        with pytest.raises(texts.BadValue, match="is not a header name"):
            texts.check_header_name(name)

    def test_a_value_is_text_on_one_line(self) -> None:
        assert texts.check_header_value(" Müller\t1 ") == "Müller\t1"
        with pytest.raises(texts.BadValue, match=r"the header value has the control character U\+000D"):
            texts.check_header_value("a\r\nVia: forged")
