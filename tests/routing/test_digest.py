"""Digest authentication gives what the standards' own examples give, and refuses whatever is no challenge."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing.digest import (
    KNOWN,
    LONGEST,
    Challenge,
    answer,
    authorize,
    parse_challenges,
    strongest,
)
from routing.secrets import Secret
from routing.texts import BadValue

URI = "sip:1001@pbx.example.com"
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC_2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def fields(header: str) -> dict[str, str]:
    """Read the fields of an answer, quotes left as they are."""
    assert header.startswith("Digest ")
    return dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^",\s]+)', header))


def one(value: str) -> Challenge:
    (challenge,) = parse_challenges(value)
    return challenge


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_give_the_responses_that_stand_there(algorithm: str, response: str) -> None:
    """RFC 7616 section 3.9.1."""
    got = answer(one(RFC_7616.format(algorithm)), "Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce=CNONCE)
    assert fields(got) == {
        "username": '"Mufasa"',
        "realm": '"http-auth@example.org"',
        "nonce": '"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"',
        "uri": '"/dir/index.html"',
        "response": f'"{response}"',
        "algorithm": algorithm,
        "opaque": '"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
        "qop": "auth",
        "nc": "00000001",
        "cnonce": f'"{CNONCE}"',
    }


def test_the_example_with_sha_512_256_gives_the_response_of_its_correction() -> None:
    """RFC 7616 section 3.9.2 as corrected by erratum 4897; the user's name need not be hashed."""
    challenge = one(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
    )
    cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
    got = fields(answer(challenge, "Jäsøn Doe", "Secret, or not?", "GET", "/doe.json", cnonce=cnonce))
    assert got["response"] == '"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"'
    assert (got["username"], "userhash" in got) == ('"Jäsøn Doe"', False)


def test_the_example_of_rfc_2617_gives_the_response_that_stands_there() -> None:
    """RFC 2617 section 3.5; without an algorithm it is MD5, and none is sent back."""
    got = fields(answer(one(RFC_2617), "Mufasa", "Circle Of Life", "GET", "/dir/index.html", cnonce="0a4f113b"))
    assert got["response"] == '"6629fae49393a05397450978507c4ef1"'
    assert "algorithm" not in got


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


HA2 = md5(f"INVITE:{URI}")


def test_without_qop_neither_count_nor_cnonce_are_sent() -> None:
    """RFC 2617 section 3.2.2.1, which RFC 3261 section 22.4 keeps."""
    got = fields(answer(one('Digest realm="pbx", nonce="abc"'), "1001", "s3cret", "INVITE", URI, cnonce="x"))
    expected = md5(f"{md5('1001:pbx:s3cret')}:abc:{HA2}")
    assert set(got) == {"username", "realm", "nonce", "uri", "response"}
    assert (got["uri"], got["response"]) == (f'"{URI}"', f'"{expected}"')


def test_a_session_algorithm_makes_its_key_from_both_nonces() -> None:
    challenge = one('Digest realm="pbx", nonce="abc", algorithm=MD5-sess, qop=auth')
    got = fields(answer(challenge, "1001", "s3cret", "INVITE", URI, cnonce="mine", nc=26))
    key = md5(f"{md5('1001:pbx:s3cret')}:abc:mine")
    expected = md5(f"{key}:abc:0000001a:mine:auth:{HA2}")
    assert got["response"] == f'"{expected}"'
    assert (got["nc"], got["algorithm"]) == ("0000001a", "MD5-sess")


def test_quotes_and_backslashes_are_taken_off_and_put_back() -> None:
    """RFC 3261 section 25.1; what is computed with is the text, not the way it was written."""
    challenge = one(r'Digest realm="the \"big\" pbx", nonce="a\\b"')
    assert (challenge.realm, challenge.nonce) == ('the "big" pbx', r"a\b")
    got = fields(answer(challenge, 'a"b', "s3cret", "INVITE", URI, cnonce="x"))
    assert (got["username"], got["realm"], got["nonce"]) == (r'"a\"b"', r'"the \"big\" pbx"', r'"a\\b"')
    key = md5('a"b:the "big" pbx:s3cret')
    expected = md5(rf"{key}:a\b:{HA2}")
    assert got["response"] == f'"{expected}"'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Digest realm="a",nonce="b"', Challenge("a", "b")),
        ('dIGEST REALM = "a" ,\r\n\tNonce="b",,', Challenge("a", "b")),
        ('Digest realm="a, b=c", nonce="d"', Challenge("a, b=c", "d")),
        ("Digest realm=a, nonce=b, stale=TRUE", Challenge("a", "b", stale=True)),
        ('Digest realm="", nonce="", stale="false", opaque=""', Challenge("", "", opaque="")),
        ('Digest realm="a", nonce="b", qop="Auth-Int ,auth", x=y', Challenge("a", "b", qop=("auth-int", "auth"))),
        ('Digest realm="a", nonce="b", algorithm="md5", qop=""', Challenge("a", "b", algorithm="md5")),
    ],
)
def test_challenges_are_read_however_they_are_written(value: str, expected: Challenge) -> None:
    assert one(value) == expected


def test_several_challenges_in_one_field_are_told_apart_from_those_of_other_schemes() -> None:
    value = 'Basic realm="x", Digest realm="a", nonce="1", Bearer abc.def==, Negotiate, digest realm="b", nonce="2"'
    assert parse_challenges(value) == [Challenge("a", "1"), Challenge("b", "2")]
    assert parse_challenges("") == []


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ('Digest realm="a"', "has no nonce"),
        ('Digest nonce="a"', "has no realm"),
        ("Digest", "has no realm"),
        ('realm="a", nonce="b"', "'realm' belongs to no scheme"),
        ('Digest realm="a", realm="b", nonce="c"', "'realm' is there twice"),
        ('Digest realm="a, nonce="b"', "is no part of a challenge"),
        ('Digest realm="a" nonce="b"', "is no part of a challenge"),
        ('Digest realm="a\r\nVia: x", nonce="b"', "control character U+000D"),
        ('Digest realm="a", nonce="b", algorithm="MD5, x"', "'MD5, x' of a challenge is no word"),
        (f'Digest realm="{"a" * LONGEST}", nonce="b"', "too long"),
    ],
)
def test_what_is_no_challenge_is_refused_with_a_sentence(value: str, sentence: str) -> None:
    with pytest.raises(BadValue) as refused:
        parse_challenges(value)
    assert sentence in str(refused.value)
    assert refused.value.mend


def offer(algorithm: str, nonce: str = "n", more: str = "") -> str:
    return f'Digest realm="a", nonce="{nonce}", qop="auth", algorithm={algorithm}{more}'


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["MD5", "SHA-256"], "SHA-256"),
        (["SHA-256", "MD5"], "SHA-256"),
        (["sha-256-sess", "MD5"], "sha-256-sess"),
        (["SHA-999", "MD5"], "MD5"),
        (["MD5", "SHA-512-256", "SHA-256"], "SHA-512-256"),
        (["MD5-sess", "MD5"], "MD5-sess"),
    ],
)
def test_the_strongest_known_algorithm_wins_and_the_first_of_equal_ones(offered: list[str], chosen: str) -> None:
    """RFC 8760 section 2.4 lets a client have a policy of its own."""
    assert KNOWN == ["MD5", "SHA-256", "SHA-512-256"]
    assert strongest(parse_challenges(", ".join(offer(each) for each in offered))).algorithm == chosen


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ('Basic realm="a"', "no challenge is for Digest"),
        (offer("SHA-999"), "the algorithm 'SHA-999' of a challenge is not known"),
        ('Digest realm="a", nonce="b", qop="auth-int"', "wants qop='auth-int'"),
        ('Digest realm="a", nonce="b", algorithm=MD5-sess', "MD5-sess without qop"),
    ],
)
def test_a_challenge_that_we_cannot_answer_is_refused_with_the_mend(value: str, sentence: str) -> None:
    with pytest.raises(BadValue) as refused:
        strongest(parse_challenges(value))
    assert sentence in refused.value.what
    assert refused.value.mend
    for challenge in parse_challenges(value):
        with pytest.raises(BadValue):
            answer(challenge, "u", "s", "INVITE", URI, cnonce="c")


def authorized(
    challenges: list[tuple[str, str]], given: tuple[tuple[str, str], ...] = ()
) -> tuple[tuple[str, str], ...]:
    return authorize(challenges, "INVITE", URI, "1001", Secret.of("s3cret"), given)


def test_the_strongest_challenge_of_a_realm_is_answered() -> None:
    asked = [("www-authenticate", offer("MD5", "weak")), ("WWW-Authenticate", offer("SHA-256", "strong"))]
    ((name, value),) = authorized([*asked, ("WWW-Authenticate", "rubbish=1")])
    got = fields(value)
    assert (name, got["nonce"], got["username"], got["uri"]) == ("Authorization", '"strong"', '"1001"', f'"{URI}"')
    assert fields(authorized(asked)[0][1])["cnonce"] != got["cnonce"]


def test_a_proxy_and_the_endpoint_behind_it_both_get_their_answers() -> None:
    """RFC 3261 section 22.3: in one response, or one after the other."""
    proxy, endpoint = ("Proxy-Authenticate", offer("MD5", "p")), ("WWW-Authenticate", offer("SHA-256", "e"))
    first = authorized([proxy])
    both = authorized([endpoint], first)
    assert [name for name, _ in both] == ["Proxy-Authorization", "Authorization"]
    assert [(fields(value)["nonce"], fields(value)["nc"]) for _, value in both] == [
        ('"p"', "00000002"),
        ('"e"', "00000001"),
    ]
    assert [name for name, _ in authorized([proxy, endpoint])] == ["Proxy-Authorization", "Authorization"]
    third = authorized([("Proxy-Authenticate", offer("MD5", "q", ", stale=true"))], both)
    assert [(fields(value)["nonce"], fields(value)["nc"]) for _, value in third] == [
        ('"q"', "00000001"),
        ('"e"', "00000002"),
    ]


def test_an_answer_without_qop_is_given_again_as_it_was() -> None:
    first = authorized([("Proxy-Authenticate", 'Digest realm="a", nonce="p"')])
    assert authorized([("WWW-Authenticate", offer("MD5"))], first)[0] == first[0]


def test_credentials_that_were_refused_are_given_again_for_a_stale_nonce_only() -> None:
    given = authorized([("WWW-Authenticate", offer("MD5"))])
    with pytest.raises(BadValue, match="refuses the credentials"):
        authorized([("WWW-Authenticate", offer("MD5", "other"))], given)
    ((_, value),) = authorized([("WWW-Authenticate", offer("MD5", "new", ", stale=true"))], given)
    assert fields(value)["nonce"] == '"new"'


@pytest.mark.parametrize(
    ("challenges", "sentence"),
    [
        ([], "no challenge is for Digest"),
        ([("WWW-Authenticate", "rubbish=1")], "'rubbish' belongs to no scheme"),
        ([("Via", offer("MD5"))], "'Via' carries no challenge"),
        ([("WWW-Authenticate", offer("SHA-999"))], "'SHA-999'"),
    ],
)
def test_where_there_is_nothing_to_answer_it_says_why(challenges: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(BadValue) as refused:
        authorized(challenges)
    assert sentence in str(refused.value)


WORDS = ("Digest", "Basic", "realm", "nonce", "qop", "algorithm", "auth", "MD5", 'realm="a"', 'nonce="b"', "ü")
GRAMMAR = st.lists(st.sampled_from([*WORDS, *' ,="\\', "\t", "\r\n ", "\r\n"])).map("".join)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=50)


@given(st.one_of(st.text(), GRAMMAR))
@example("Digest realm=\ud800, nonce=b")
@example('Digest realm="a", nonce="b", algorithm=-sess, qop="auth"')
def test_whatever_comes_is_answered_on_one_line_or_refused(value: str) -> None:
    try:
        header = authorized([("WWW-Authenticate", value)])[0][1]
    except BadValue:
        return
    assert header.startswith('Digest username="1001", realm=')
    assert not re.search(r"[\r\n\0]", header)
    assert "s3cret" not in header


@given(
    st.text(st.characters(blacklist_categories=("Cs", "Cc"))),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
)
def test_realm_and_nonce_survive_being_quoted(realm: str, nonce: str) -> None:
    header = answer(Challenge(realm, nonce), "1001", "s3cret", "INVITE", URI, cnonce="c")
    assert one(header) == Challenge(realm, nonce)
