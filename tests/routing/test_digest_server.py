"""The asking side of digest: what our own client answers is right, and nothing else is."""

from __future__ import annotations

import pytest

from routing.digest import answer, parse_challenges
from routing.digest_server import NONCE_LASTS, Credentials, Keys, challenges, is_fresh, make_nonce
from routing.texts import BadValue

KEY, PEER, NOW = b"k" * 32, "192.0.2.1", 1_700_000_000.0
NONCE = make_nonce(KEY, PEER, NOW)
KEYS = Keys.of("alice", "handoff.local", "secret")
BOTH = ("SHA-256", "MD5")


def answered(number: int = 0, password: str = "secret", uri: str = "sip:handoff.local") -> str:
    """Answer one of the challenges as our own client does."""
    (challenge,) = parse_challenges(challenges("handoff.local", NONCE, BOTH, stale=False)[number])
    return answer(challenge, "alice", password, "REGISTER", uri, cnonce="0a4f113b")


def read(value: str) -> Credentials:
    found = Credentials.read(value)
    assert found is not None
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_the_right_password_matches_by_each_algorithm(number: int) -> None:
    credentials = read(answered(number))
    assert credentials.algorithm == BOTH[number]
    assert credentials.match(KEYS, "REGISTER")
    assert not credentials.match(KEYS, "INVITE")
    assert not read(answered(number, password="Secret")).match(KEYS, "REGISTER")


def test_keys_are_those_of_rfc_7616_section_3_9_1() -> None:
    keys = Keys.of("Mufasa", "http-auth@example.org", "Circle of Life")
    assert keys.md5 == "3d78807defe7de2157e2b0b6573a855f"
    assert keys.sha256 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
    assert repr(keys) == "Keys(***)"


def test_no_algorithm_named_means_md5() -> None:
    assert read(answered(1).replace(", algorithm=MD5", "")).match(KEYS, "REGISTER")


def test_challenges_can_be_read_and_say_when_a_nonce_was_stale() -> None:
    first, second = (parse_challenges(value)[0] for value in challenges("here", NONCE, BOTH, stale=True))
    assert (first.algorithm, second.algorithm) == BOTH
    assert first.stale
    assert first.qop == ("auth",)


def test_a_nonce_is_fresh_for_its_peer_and_for_a_while() -> None:
    assert is_fresh(NONCE, KEY, PEER, NOW)
    assert is_fresh(NONCE, KEY, PEER, NOW + NONCE_LASTS - 1)
    assert not is_fresh(NONCE, KEY, PEER, NOW + NONCE_LASTS)
    assert not is_fresh(NONCE, KEY, PEER, NOW - 10)
    assert not is_fresh(NONCE, KEY, "192.0.2.2", NOW)
    assert not is_fresh(NONCE, b"another", PEER, NOW)
    assert not is_fresh("ffffffff" + NONCE[8:], KEY, PEER, NOW)
    assert not is_fresh("made up", KEY, PEER, NOW)


def test_another_scheme_is_none_of_ours() -> None:
    assert Credentials.read("Basic YTpi") is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (answered().replace('username="alice", ', ""), "no username"),
        (answered().replace("qop=auth, ", ""), "no qop"),
        ('Digest username="alice', "is no part of a challenge"),
    ],
)
def test_what_is_missing_is_told(value: str, problem: str) -> None:
    with pytest.raises(BadValue, match=problem):
        Credentials.read(value)


def test_another_quality_or_algorithm_is_refused() -> None:
    with pytest.raises(BadValue, match="qop='auth-int'"):
        Credentials.read(answered().replace("qop=auth", "qop=auth-int"))
    with pytest.raises(BadValue, match="SHA-512"):
        Credentials.read(answered().replace("algorithm=SHA-256", "algorithm=SHA-512-256"))
    with pytest.raises(BadValue, match="too long"):
        Credentials.read("Digest " + "x" * 9000)
