"""A secret shows itself to nobody, is found where it is kept, and is sealed with the key of the settings."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from routing.secret_sources import find_value, read_key
from routing.secrets import HIDDEN, LONGEST, Kind, Secret, check_reference, check_user, seal, unseal
from routing.target_fields import Endpoint
from routing.targets import Target, TargetError
from routing.texts import BadValue
from tests.routing.settings_help import made, problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUE = "hunter2-hunter2"
KEY = Secret.of("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
OTHER_KEY = Secret.of("//////////////////////////////////////////8=")
URI = "sip:1001@pbx.example.com"


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(BadValue) as refused:
        action()
    assert VALUE not in str(refused.value)
    assert refused.value.mend
    return refused.value.what


def target(**login: object) -> Target:
    return Target.make({"name": "support", "endpoints": [{"uri": URI, **login}]})


class TestShowing:
    """What people, logs and files see."""

    @pytest.mark.parametrize("secret", [Secret.of(VALUE), seal(Secret.of(VALUE), KEY)])
    def test_a_value_is_never_shown(self, secret: Secret) -> None:
        endpoint = Endpoint(uri=URI, secret=secret)
        texts = [
            str(secret),
            repr(secret),
            f"{secret}",
            f"{secret!r:>20}",
            repr([secret]),
            secret.told(),
        ]
        texts += [repr(endpoint), str(endpoint.model_dump()), endpoint.model_dump_json(), repr(target(secret=secret))]
        assert not [text for text in texts if secret.reveal() in text]
        assert json.loads(endpoint.model_dump_json()) == {"uri": URI, "secret": HIDDEN}

    @pytest.mark.parametrize("text", ["env:PBX_SECRET", "file:/etc/handoff/pbx"])
    def test_a_reference_may_be_seen_by_people(self, text: str) -> None:
        assert Secret.read(text).told() == text
        assert repr(Secret.read(text)) == HIDDEN
        assert json.loads(target(user="1001", secret=text).model_dump_json())["endpoints"] == [
            {"uri": URI, "user": "1001", "secret": text}
        ]

    def test_an_endpoint_without_login_is_written_as_its_uri_alone(self) -> None:
        assert json.loads(target().model_dump_json())["endpoints"] == [{"uri": URI}]

    @pytest.mark.parametrize("secret", [Secret.of(VALUE), Secret.of("env:X"), Secret.read("env:X")])
    def test_only_the_form_for_the_store_holds_the_secret_and_gives_it_back(self, secret: Secret) -> None:
        before = target(secret=secret)
        assert secret.stored().encode() in before.to_json()
        assert Target.from_json(before.to_json()) == before

    def test_secrets_are_the_same_when_kind_and_text_are(self) -> None:
        assert len({Secret.of("env:X"), Secret.read("plain:env:X"), Secret.read("env:X")}) == 2
        assert Secret.of("env:X") != "plain:env:X"


class TestReading:
    """What is taken for a secret, and what is not."""

    @pytest.mark.parametrize("given", [VALUE, f"secret:{VALUE}", 5, "", HIDDEN, f"env:{VALUE}", f"file:{VALUE}"])
    def test_what_is_no_secret_is_refused_without_repeating_it(self, given: object) -> None:
        refusal(lambda: Secret.read(given))
        with pytest.raises(TargetError) as refused:
            target(secret=given)
        assert [problem.where for problem in refused.value.problems] == ["endpoints[0].secret"]
        assert VALUE not in f"{refused.value}{refused.value!r}"

    @pytest.mark.parametrize("value", ["", "a" * (LONGEST + 1), f"{VALUE}\nb", f"{VALUE}\0"])
    def test_a_value_is_one_line_of_some_length(self, value: str) -> None:
        refusal(lambda: Secret.of(value))

    def test_a_secret_not_shown_is_told_from_one_that_is_wrong(self) -> None:
        assert "none is stored" in refusal(lambda: Secret.read(HIDDEN))

    @pytest.mark.parametrize("user", ["", " ", "a:b", "a\nb"])
    def test_a_user_is_a_name_without_colon(self, user: str) -> None:
        refusal(lambda: check_user(user))
        assert check_user("1001@pbx") == "1001@pbx"

    def test_a_user_without_a_secret_is_a_problem(self) -> None:
        with pytest.raises(TargetError) as refused:
            target(user="1001")
        assert "endpoints[0]: it has a user without a secret; give a secret" in str(refused.value)


class TestSealing:
    """Values are encrypted with a key."""

    def test_what_was_sealed_is_unsealed_with_the_same_key_only(self) -> None:
        sealed = seal(Secret.of(VALUE), KEY)
        assert sealed.kind is Kind.SEALED
        assert VALUE not in sealed.stored()
        assert unseal(Secret.read(sealed.stored()), KEY) == Secret.of(VALUE)
        assert "another key" in refusal(lambda: unseal(sealed, OTHER_KEY))
        assert "another key" in refusal(lambda: unseal(Secret(Kind.SEALED, "rubbish-ü"), KEY))

    def test_what_need_not_be_sealed_or_unsealed_stays_as_it_is(self) -> None:
        reference, sealed = Secret.read("env:X"), seal(Secret.of(VALUE), KEY)
        assert (seal(reference, KEY), seal(sealed, KEY)) == (reference, sealed)
        assert unseal(Secret.of(VALUE), KEY) == Secret.of(VALUE)

    @pytest.mark.parametrize("key", [VALUE, "MDEyMzQ1Njc4OWFiY2RlZg==", "ü", "#"])
    def test_a_key_that_is_none_is_refused_with_the_command_that_makes_one(self, key: str) -> None:
        with pytest.raises(BadValue) as refused:
            seal(Secret.of("x"), Secret.of(key))
        assert "openssl rand -base64 32" in refused.value.mend
        assert key not in refused.value.what


class TestFinding:
    """Values are found in the environment, in files, and behind the key."""

    def test_a_value_is_found_where_its_secret_says(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text(f"{VALUE}\n")
        environ = {"PBX": VALUE, "KEY": KEY.reveal()}
        sealed = seal(Secret.of(VALUE), KEY)
        for secret in (Secret.read("env:PBX"), Secret.read(f"file:{file}"), Secret.of(VALUE), sealed):
            assert find_value(secret, "env:KEY", environ) == Secret.of(VALUE)

    def test_what_is_not_there_or_cannot_be_used_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "long").write_text("a" * 10_000)
        (tmp_path / "lines").write_text(f"{VALUE}\n{VALUE}\n")
        (tmp_path / "bytes").write_bytes(b"\xff\n")
        os.mkfifo(tmp_path / "pipe")
        for name, sentence in {
            "nothing": "cannot be read (No such file or directory)",
            "pipe": "is not a file",
            "long": "the secret is empty or too long",
            "lines": "control character U+000A",
            "bytes": "is not UTF-8",
        }.items():
            secret = Secret.read(f"file:{tmp_path / name}")
            what = refusal(lambda secret=secret: find_value(secret, None, {}))  # type: ignore[misc]
            assert sentence in what
            assert str(tmp_path / name) in what
        for environ in ({}, {"PBX": ""}):
            what = refusal(lambda environ=environ: find_value(Secret.read("env:PBX"), None, environ))  # type: ignore[misc]
            assert what == "the environment variable PBX is not set"

    def test_a_sealed_secret_needs_a_key_that_is_one(self) -> None:
        sealed = seal(Secret.of(VALUE), KEY)
        assert "no key is configured" in refusal(lambda: find_value(sealed, None, {}))
        assert refusal(lambda: read_key("env:KEY", {})) == "security.key: the environment variable KEY is not set"
        assert "security.key is not 32 bytes" in refusal(lambda: read_key("env:KEY", {"KEY": VALUE}))
        assert read_key("env:KEY", {"KEY": KEY.reveal()}) == KEY


class TestSettings:
    """The key of the settings is a reference."""

    def test_without_a_key_there_is_none(self) -> None:
        assert made().security.key is None
        assert made(security={"key": "file:/etc/handoff/key"}).security.key == "file:/etc/handoff/key"
        assert check_reference("env:KEY") == "env:KEY"

    @pytest.mark.parametrize("key", [VALUE, KEY.reveal(), f"plain:{VALUE}", 12345678, ["12345678"]])
    def test_a_key_in_the_place_of_its_reference_is_refused_without_repeating_it(self, key: object) -> None:
        (problem,) = problems(security={"key": key})
        assert problem.startswith("security.key: ")
        assert not [text for text in (VALUE, KEY.reveal(), "12345678") if text in problem]
