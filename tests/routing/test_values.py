"""SIP values are read as RFC 3261 says, and nothing that could split or forge a message gets through."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing import values
from routing.replaces import Replaces
from routing.values import BadValue, ReferTo, check_endpoint, parse_sip_uri


class TestUri:
    """URIs are checked by the grammar of RFC 3261 and RFC 3966."""

    def test_a_sip_uri_is_taken_apart(self) -> None:
        uri = parse_sip_uri("SIP:a%20b;x?y@PBX1:5070;transport=TCP;lr")
        assert (uri.scheme, uri.user, uri.host, uri.port) == ("sip", "a b;x?y", "pbx1", 5070)
        assert dict(uri.parameters) == {"transport": "TCP", "lr": None}

    def test_an_ipv6_host_keeps_its_brackets(self) -> None:
        uri = parse_sip_uri("sip:bob@[2001:db8::1]:5060")
        assert (uri.host, uri.port) == ("[2001:db8::1]", 5060)

    def test_a_tel_uri_gives_its_number(self) -> None:
        uri = parse_sip_uri("tel:+49-30-1234;phone-context=example.com")
        assert (uri.scheme, uri.host, uri.global_phone_number) == ("tel", "", "+49301234")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "bob",
            "sip:",
            "sip:@h",
            "sip:bob@",
            "sip:b b@h",
            "sip:bob@h h",
            "sip:bob@h:0",
            "sip:bob@h:99999",
            "sip:bob@h:",
            "sip:bob@h;",
            "sip:bob@h;;lr",
            "sip:bob@h;a=1;A=2",
            "sip:bob@h;self=1",
            "sip:bob@h;a=%ff",
            "sip:bob@h;a=%0d",
            "sip:b%ffb@h",
            "sip:b%0ab@h",
            "sip:b%2@h",
            "sip:bob@h\n",
            "sip:bob@h\r\nVia: x",
            "sip:bób@h",
            "sip:bob@::1",
            "sip:bob@[::1",
            "sip:a@b@c",
            "tel:abc@h",
            "tel:",
            "tel:+49:5060",
        ],
    )
    def test_what_is_no_uri_is_refused_with_400(self, text: str) -> None:
        with pytest.raises(BadValue) as refused:
            parse_sip_uri(text)
        assert refused.value.status == 400

    def test_an_unknown_scheme_is_refused_with_416(self) -> None:
        with pytest.raises(BadValue, match="the URI scheme 'https' is not known") as refused:
            parse_sip_uri("https://example.com/")
        assert refused.value.status == 416

    def test_headers_are_not_allowed_where_only_a_uri_is_wanted(self) -> None:
        with pytest.raises(BadValue, match=r"carries \?headers"):
            parse_sip_uri("sip:bob@h?X-A=1")

    @given(st.text(alphabet="sip:tel@[].;=%?<>\"' \r\n\0aé1-", max_size=30))
    @example("sip:a@h;self")
    def test_any_text_is_parsed_or_refused_and_never_breaks_the_parser(self, text: str) -> None:
        for parse in (parse_sip_uri, ReferTo.parse):
            try:
                parse(text)
            except BadValue:
                continue


class TestEndpoint:
    """An endpoint is a URI that can be sent an INVITE now."""

    @pytest.mark.parametrize(
        "text",
        [
            "sip:h",
            "sip:bob@h",
            "sip:bob@h;transport=UDP",
            "sip:+49301@[::1]:5070;transport=tcp;x=y",
            "sip:bob@h;transport=TLS",
            "sips:bob@h:5061",
            "tel:+49-30-1234",
        ],
    )
    def test_a_uri_over_any_transport_is_taken_as_written(self, text: str) -> None:
        assert check_endpoint(text) == text

    def test_the_scheme_comes_back_in_lower_case(self) -> None:
        assert check_endpoint("SIP:Bob@Host") == "sip:Bob@Host"

    @pytest.mark.parametrize(
        ("text", "status", "reason"),
        [
            ("sips:bob@h;transport=udp", 400, "cannot go by UDP"),
            ("sip:bob@h;Transport=sctp", 501, "transport=sctp is not known"),
            ("sip:bob@h;transport", 501, "transport= is not known"),
            ("sip:bob:secret@h", 400, "'sip:bob:\\*\\*\\*@h' carries a password"),
            ("sip:bob@h;maddr=evil.example", 400, "carries maddr"),
        ],
    )
    def test_what_cannot_be_dialled_now_is_refused_clearly(self, text: str, status: int, reason: str) -> None:
        with pytest.raises(BadValue, match=reason) as refused:
            check_endpoint(text)
        assert refused.value.status == status

    @pytest.mark.parametrize("text", ["caller", "agent", "sip:+4930@example.com", "tel:+4930"])
    def test_a_caller_id_is_a_word_or_a_uri(self, text: str) -> None:
        assert values.check_caller_id(text) == text

    def test_a_caller_id_loses_its_brackets(self) -> None:
        assert values.check_caller_id("<sip:a@b>") == "sip:a@b"

    @pytest.mark.parametrize("text", ["callr", "sip:a:b@c", "sip:a@b\r\nX: y"])
    def test_any_other_caller_id_is_refused(self, text: str) -> None:
        with pytest.raises(BadValue):
            values.check_caller_id(text)


class TestReferTo:
    """Refer-To says where to go, and may carry settings in its URI."""

    @pytest.mark.parametrize(
        ("value", "uri", "user", "host"),
        [
            ("sip:support@handoff", "sip:support@handoff", "support", "handoff"),
            ("<sip:support@Handoff>", "sip:support@Handoff", "support", "handoff"),
            ("Support Desk <sip:support@h>", "sip:support@h", "support", "h"),
            (r'"A \" <b>" < sip:support@h > ; x=y', "sip:support@h", "support", "h"),
            ("<sip:a%40b%20c@h;transport=tcp>", "sip:a%40b%20c@h;transport=tcp", "a@b c", "h"),
            ("<sip:+49-30-12@h;method=INVITE>", "sip:+49-30-12@h", "+493012", "h"),
            ("<tel:+49-30-12>", "tel:+49-30-12", "+493012", ""),
            ("<sips:support@h>", "sips:support@h", "support", "h"),
            ("<sip:h:5070>", "sip:h:5070", "", "h"),
            ("<sip:s@h?Subject=a%20b&Empty=>", "sip:s@h", "s", "h"),
        ],
    )
    def test_every_way_to_write_it_is_understood(self, value: str, uri: str, user: str, host: str) -> None:
        assert ReferTo.parse(value) == ReferTo(uri, user, host, {})

    def test_settings_come_from_uri_parameters(self) -> None:
        refer_to = ReferTo.parse("<sip:s@h;Handoff-Mode=summary;transport=tcp;handoff-summary=a%3bb%20%C3%BC>")
        assert refer_to.settings == {"mode": "summary", "summary": "a;b ü"}
        assert refer_to.uri == "sip:s@h;transport=tcp"

    def test_settings_come_from_uri_headers(self) -> None:
        refer_to = ReferTo.parse("<sip:s@h?X-Handoff-Mode=message&x-handoff-message=Hello%3F%20%26%40>")
        assert refer_to.settings == {"mode": "message", "message": "Hello? &@"}
        assert refer_to.uri == "sip:s@h"

    def test_settings_are_found_without_brackets_too(self) -> None:
        assert ReferTo.parse("sip:s@h;handoff-mode=blind?X-Handoff-Summary=x").settings == {
            "mode": "blind",
            "summary": "x",
        }

    def test_a_refer_header_wins_over_a_uri_header_and_this_over_a_uri_parameter(self) -> None:
        refer_to = ReferTo.parse(
            "<sip:s@h;handoff-mode=1;handoff-message=1;handoff-summary=1?X-Handoff-Mode=2&X-Handoff-Message=2>"
        )
        merged = refer_to.with_headers({"x-handoff-mode": " %33 ", "X-Other": "100%"})
        assert merged.settings == {"mode": "3", "message": "2", "summary": "1"}
        assert merged.uri == refer_to.uri

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "support",
            "<support>",
            '"A" sip:s@h',
            "<sip:s@h",
            "<sip:s@h>, <sip:t@h>",
            "<sip:s@h>;x=1,<sip:t@h>",
            "<sip:s@h?X-Handoff-Summary=a%0d%0aVia:%20x>",
            "<sip:s@h?X-Other=a%00>",
            "<sip:s@h;handoff-mode=a%0a>",
            "<sip:s@h?=x>",
            "<sip:s@h?X-A=1&x-a=2>",
            "<sip:s@h?Replaces=a%40b%3Bto-tag%3D1>",
            "<sip:s@h?Replaces=a&Replaces=b>",
            "<sip:s@h;handoff-mod=blind>",
            "<sip:s@h?X-Handoff-Sumary=x>",
            "<sip:s@h?X-Handoff-Summary=100%>",
            "<sip:s@h>\r\n",
        ],
    )
    def test_a_bad_value_is_refused_with_400(self, value: str) -> None:
        with pytest.raises(BadValue) as refused:
            ReferTo.parse(value)
        assert refused.value.status == 400

    def test_replaces_names_the_dialog_that_is_to_be_replaced(self) -> None:
        value = "<sip:s@h;transport=tcp?Replaces=12%40b.c%3Bto-tag%3Dx1%3Bfrom-tag%3Dy2%3Bearly-only&Require=replaces>"
        refer_to = ReferTo.parse(value)
        assert refer_to.replaces == Replaces("12@b.c", "x1", "y2", early_only=True)
        assert (refer_to.uri, refer_to.settings) == ("sip:s@h;transport=tcp", {})
        assert ReferTo.parse("<sip:s@h>").replaces is None

    def test_what_is_not_yet_available_is_refused_with_501(self) -> None:
        with pytest.raises(BadValue, match="not yet available") as refused:
            ReferTo.parse("<sip:s@h;method=BYE>")
        assert refused.value.status == 501

    @pytest.mark.parametrize(
        ("name", "value"), [("X-Handoff-Summary", "a%0Ab"), ("X-Handoff-Summary", "a\nb"), ("X-Handoff-Sumary", "a")]
    )
    def test_a_bad_refer_header_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(BadValue, match=r"(?i)x-handoff-sum+ary"):
            ReferTo.parse("sip:s@h").with_headers({name: value})
