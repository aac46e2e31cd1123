"""Wrong and contradicting settings are told all at once, each with place, value and mend."""

from __future__ import annotations

from typing import Any

import pytest

from routing.settings import SettingsError, make_settings
from tests.routing.settings_help import AGENTS, POOL, URL, made, problems


class TestProblems:
    """What is wrong is told with place, value and mend."""

    @pytest.mark.parametrize(
        ("sections", "problem"),
        [
            ({"sip": {"listn": []}}, "sip.listn: is not known here; did you mean listen?"),
            ({"pool": []}, "pool: is not known here; did you mean pools?"),
            (
                {"pools": [{**POOL, "agents": [*AGENTS, {"uri": "sip:a b@h"}]}]},
                "pools[0].agents[1].uri: 'sip:a b@h' is not a sip: URI; write it as sip:user@host",
            ),
            (
                {"pools": [{**POOL, "agents": [{"url": "sip:h"}]}]},
                (
                    'pools[0].agents[0].uri: is missing; add uri = "sip:agent@192.0.2.10:5060" '
                    "pools[0].agents[0].url: is not known here; did you mean uri?"
                ),
            ),
            ({"pools": []}, "pools: this cannot be used; give at least one"),
            ({"pools": POOL}, "pools: this cannot be used; write it as a list: [...]"),
            (
                {"trunks": [{"name": "t", "addresses": []}]},
                "trunks[0].addresses: this cannot be used; give at least one",
            ),
            (
                {"trunks": [{"name": "t", "addresses": ["10.0.0.1/8", "pbx"]}]},
                (
                    "trunks[0].addresses[0]: '10.0.0.1/8' has bits set after the network part; "
                    "did you mean 10.0.0.0/8? "
                    "trunks[0].addresses[1]: 'pbx' is no address or network; write 192.0.2.1 or 192.0.2.0/24"
                ),
            ),
            (
                {"sip": {"listen": ["tls:127.0.0.1:5061"]}},
                "sip.listen[0]: TLS needs a certificate here; give tls.certificate",
            ),
            (
                {"sip": {"listen": ["ws:127.0.0.1:8080", "wss:127.0.0.1:8443"]}},
                "sip.listen[1]: TLS needs a certificate here; give tls.certificate",
            ),
            (
                {"sip": {"origins": ["app.example.com", "https://app.example.com/", "https://app.example.com:0"]}},
                (
                    "sip.origins[0]: 'app.example.com' is no origin of web pages; write it as https://app.example.com "
                    "sip.origins[1]: 'https://app.example.com/' is no origin of web pages; write it as "
                    "https://app.example.com sip.origins[2]: '0' is not a port"
                ),
            ),
            (
                {"webhooks": {"urls": ["hooks.example.com", "https://a:b@h/", "http://h:0", "http://-/"]}},
                (
                    "webhooks.urls[0]: 'hooks.example.com' is no URL for webhooks; "
                    "write it as https://hooks.example.com/handoff, without a login "
                    "webhooks.urls[1]: 'https://a:***@h/' is no URL for webhooks; "
                    "write it as https://hooks.example.com/handoff, without a login "
                    "webhooks.urls[2]: '0' is not a port; give a number from 1 to 65535 "
                    "webhooks.urls[3]: '-' is not a host; give a name like pbx.example.com or an IP address"
                ),
            ),
            (
                {"webhooks": {"urls": ["http://[::1]:8000/a?b=c", "https://h", "http://[::1]:8000/a?b=c"]}},
                ("webhooks.urls[2]: 'http://[::1]:8000/a?b=c' is also at webhooks.urls[0]; keep one of them"),
            ),
            (
                {"sip": {"listen": ["127.0.0.1:5060", "udp:::1:5060", "udp:127.0.0.1", "udp:localhost:5060"]}},
                (
                    "sip.listen[0]: '127.0.0.1:5060' is no place to listen at; write it as udp:127.0.0.1:5060 "
                    "sip.listen[1]: 'udp:::1:5060' is no place to listen at; write it as udp:127.0.0.1:5060 "
                    "sip.listen[2]: 'udp:127.0.0.1' is no place to listen at; write it as udp:127.0.0.1:5060 "
                    "sip.listen[3]: 'localhost' is not an IP address"
                ),
            ),
            (
                {"sip": {"user_agent": ""}},
                "sip.user_agent: '' cannot be used; give some text, or leave the setting out",
            ),
            ({"log": {"level": "loud"}}, "log.level: 'loud' cannot be used; it must be 'debug', 'info', 'warning' or"),
            ({"media": {"timeout": float("inf")}}, "media.timeout: inf cannot be used; it must be a finite number"),
            ({"metrics": {"listen": "9464"}}, "metrics.listen: '9464' is not host:port; give one like"),
            (
                {"rtpengine": {"nodes": {"a b": "h:1"}}},
                "rtpengine.nodes.'a b': 'a b' is not a name; use 1 to 64 letters",
            ),
            ({"rtpengine": {"interface": "eth0"}}, "rtpengine.interface: 'eth0' is not an IP address; give one"),
            ({"rtpengine": 5}, "rtpengine: 5 cannot be used; write it as a table: {...}"),
            ({"users": {"algorithms": ["SHA-1"]}}, "users.algorithms[0]: 'SHA-1' cannot be used; it must be 'SHA-256'"),
            ({"users": {"domains": ["a", "A"]}}, "users.domains[1]: 'a' is also at users.domains[0]; keep one"),
            ({"users": {"min_expires": 4000}}, "users.min_expires: 4000 is more than max_expires 3600; make it less"),
            ({"users": 5}, "users: 5 cannot be used; write it as a table: {...}"),
            ({"policy": {"dial_uris": ["*"]}}, "policy.dial_uris[0]: '*' is not a host; give a name like"),
            ({"transfer": {"caller_id": "x"}}, "transfer.caller_id: 'x' is no caller id: 'x' is not a SIP URI"),
        ],
    )
    def test_a_bad_value_is_told(self, sections: dict[str, Any], problem: str) -> None:
        assert " ".join(problems(**sections)).startswith(problem)

    def test_all_problems_are_told_at_once_wrong_values_and_contradictions_together(self) -> None:
        with pytest.raises(SettingsError) as refused:
            make_settings(
                {"pools": [POOL, {**POOL, "ring_timeout": 0}], "log": {"level": 5}, "extra": 1}, "handoff.toml"
            )
        where = [problem.where for problem in refused.value.problems]
        assert where == ["pools[1].ring_timeout", "log.level", "extra", "pools[1].name", "pools[1].numbers[0]"]
        assert str(refused.value).startswith("handoff.toml has 5 problems:\n  pools[1].ring_timeout: 0 cannot")

    @pytest.mark.parametrize(
        "redis", [{"url": f"x{URL}"}, {"url": [URL]}, {"url": "redis://"}, {"ulr": URL}, URL, {"deadline": URL}]
    )
    def test_a_password_is_never_shown(self, redis: object) -> None:
        with pytest.raises(SettingsError) as refused:
            made(redis=redis)
        assert "redis" in str(refused.value)
        assert "hunter2" not in f"{refused.value!s}{refused.value!r}"
        assert "hunter2" not in repr(made(redis={"url": URL}))


class TestConflicts:
    """Settings that contradict one another are found."""

    def test_the_same_name_number_or_domain_in_two_pools_is_told(self) -> None:
        first = {**POOL, "numbers": ["+49 30-1", "+49*"], "domains": ["a.example"]}
        second = {**POOL, "numbers": ["+49301", "+49*"], "domains": ["A.example."]}
        assert problems(pools=[first, second]) == [
            "pools[1].name: 'agents' is also at pools[0].name; keep one of them",
            "pools[1].numbers[0]: '+49301' is also at pools[0].numbers[0]; keep one of them",
            "pools[1].numbers[1]: '+49*' is also at pools[0].numbers[1]; keep one of them",
            "pools[1].domains[0]: 'a.example' is also at pools[0].domains[0]; keep one of them",
        ]

    def test_an_agent_may_be_in_two_pools_but_not_twice_in_one(self) -> None:
        other = {"name": "other", "numbers": ["1"], "agents": AGENTS}
        assert len(made(pools=[POOL, other]).pools) == 2
        assert problems(pools=[{**POOL, "agents": AGENTS * 2}]) == [
            "pools[0].agents[1].uri: 'sip:agent@127.0.0.1:5070' is also at pools[0].agents[0].uri; keep one of them"
        ]

    def test_the_same_network_in_two_trunks_is_told(self) -> None:
        trunks = [{"name": "a", "addresses": ["10.0.0.1"]}, {"name": "b", "addresses": ["10.0.0.1/32"]}]
        assert problems(trunks=trunks) == [
            "trunks[1].addresses[0]: '10.0.0.1' is also at trunks[0].addresses[0]; keep one of them"
        ]

    def test_a_pool_that_no_call_reaches_is_told(self) -> None:
        assert problems(pools=[{"name": "p", "agents": AGENTS}]) == [
            'pools[0]: no call would reach this pool; add numbers = ["*"] or domains = [...]'
        ]

    @pytest.mark.parametrize(
        "listen", [["udp:127.0.0.1:5060", "udp:127.0.0.1:5060"], ["udp:127.0.0.1:5060", "udp:0.0.0.0:5060"]]
    )
    def test_overlapping_listen_addresses_are_told(self, listen: list[str]) -> None:
        assert problems(sip={"listen": listen}) == [
            f"sip.listen[1]: '{listen[1]}' is taken by sip.listen[0]; use another port or address"
        ]

    def test_the_exporter_may_not_take_the_place_of_sip_not_even_that_of_the_default(self) -> None:
        assert problems(metrics={"listen": "127.0.0.1:5060"}) == [
            "metrics.listen: 'tcp:127.0.0.1:5060' is taken by sip.listen[1]; use another port or address"
        ]

    def test_the_sidecar_may_not_take_the_place_of_sip_nor_of_media_nor_two_things_one_place(self) -> None:
        assert problems(trace={"listen": "127.0.0.1:5060"}) == [
            "trace.listen: 'udp:127.0.0.1:5060' is taken by sip.listen[0]; use another port or address"
        ]
        both = {"trace": {"listen": "127.0.0.1:9060"}, "rtpengine": {"dtmf_listen": "127.0.0.1:9060"}}
        assert problems(**both) == [
            "trace.listen: 'udp:127.0.0.1:9060' is taken by rtpengine.dtmf_listen; use another port or address"
        ]
        assert problems(trace={"listen": "127.0.0.1:20001"}) == [
            "trace.listen: port 20001 is also for media (rtpengine.port_min); use one outside the range"
        ]

    def test_copies_may_not_be_sent_back_to_where_they_came_from(self) -> None:
        assert problems(trace={"listen": "127.0.0.1:9060", "homer": "127.0.0.1:9060"}) == [
            "trace.homer: it is trace.listen itself; name the Homer, or leave it out"
        ]
        assert made(trace={"listen": "127.0.0.1:9060", "homer": "127.0.0.1:9061"}).trace.homer == "127.0.0.1:9061"

    @pytest.mark.parametrize(("listen", "other", "version"), [("[::1]:9060", 4, 6), ("127.0.0.1:9060", 6, 4)])
    def test_copies_need_a_place_of_sip_with_their_version_of_ip(self, listen: str, other: int, version: int) -> None:
        sip = {"listen": ["udp:127.0.0.1:5060" if other == 4 else "udp:[::1]:5060", "tcp:[::1]:5060"]}
        assert problems(trace={"listen": listen}, sip=sip) == [
            (
                f"trace.listen: sip.listen has no udp of IPv{version} to send copies to '{listen}' from; "
                f"use an address of IPv{other}, or leave it out"
            )
        ]
        assert made(trace={"listen": "sidecar.test:9060"}, sip=sip).trace.listen == "sidecar.test:9060"

    def test_listen_addresses_that_differ_in_transport_address_port_or_family_are_no_conflict(self) -> None:
        listen = [
            "udp:127.0.0.1:5060",
            "tcp:127.0.0.1:5060",
            "udp:127.0.0.2:5060",
            "udp:127.0.0.1:5062",
            "udp:[::]:5060",
        ]
        assert made(sip={"listen": listen}).sip.listen == tuple(listen)

    @pytest.mark.parametrize(("given", "missing"), [("certificate", "key"), ("key", "certificate")])
    def test_half_of_what_tls_needs_is_told(self, given: str, missing: str) -> None:
        assert problems(tls={given: "/etc/ssl/a.pem"}) == [
            f"tls.{given}: it is of no use without tls.{missing}; give tls.{missing} as well"
        ]

    @pytest.mark.parametrize(("given", "missing"), [("user", "secret"), ("secret", "user")])
    def test_half_of_a_trunk_s_login_is_told(self, given: str, missing: str) -> None:
        trunk = {"name": "carrier", "addresses": ["192.0.2.1"], given: "env:CARRIER"}
        assert problems(trunks=[trunk]) == [
            f"trunks[0].{given}: it has no {missing} beside it; give the {missing} as well"
        ]

    def test_the_media_ports_must_be_a_range(self) -> None:
        assert problems(rtpengine={"port_min": 30000}) == [
            "rtpengine.port_min: 30000 is not below port_max 29999; widen the range"
        ]

    @pytest.mark.parametrize(
        ("sip", "interface"),
        [
            ("udp:127.0.0.1:20000", "127.0.0.1!192.0.2.1"),
            ("udp:0.0.0.0:29999", "127.0.0.1"),
            ("udp:[::1]:21000", "::1"),
        ],
    )
    def test_a_sip_port_among_the_media_ports_is_told(self, sip: str, interface: str) -> None:
        (problem,) = problems(sip={"listen": [sip]}, rtpengine={"interface": interface})
        assert problem.startswith("sip.listen[0]: port 2")
        assert problem.endswith("is also for media (rtpengine.port_min); use one outside the range")

    @pytest.mark.parametrize(
        ("sip", "rtpengine"),
        [
            ("udp:127.0.0.1:30000", {}),
            ("tcp:127.0.0.1:20000", {}),
            ("udp:127.0.0.2:20000", {}),
            ("udp:127.0.0.1:20000", {"nodes": {"n": "127.0.0.1:2223"}}),
        ],
    )
    def test_a_sip_port_that_is_not_in_the_way_of_media_is_no_conflict(
        self, sip: str, rtpengine: dict[str, Any]
    ) -> None:
        assert made(sip={"listen": [sip]}, rtpengine=rtpengine).sip.listen == (sip,)

    @pytest.mark.parametrize(
        "data",
        [
            {"pools": 5},
            {"pools": [5, {"name": 5, "numbers": 5, "agents": [{"uri": 5}]}]},
            {"trunks": [{"addresses": [5, None]}], "sip": [], "metrics": {"listen": 5}, "rtpengine": []},
            {"rtpengine": {"port_min": True, "port_max": "x"}, "sip": {"listen": [5]}},
        ],
    )
    def test_data_of_any_form_is_refused_and_never_breaks_the_search(self, data: dict[str, Any]) -> None:
        with pytest.raises(SettingsError):
            make_settings(data)


class TestSpeech:
    """The speech engine's command line, its voices and the texts that are said."""

    @pytest.mark.parametrize(
        ("section", "problem"),
        [
            ({"command": "espeak-ng"}, "command: the command does not say where the sound goes; put {file} where"),
            ({"command": "e {fiel}"}, "command: '{fiel}' is not known here; did you mean {file}?"),
            ({"command": "e {file} }"}, "command: it has a brace that belongs to no {word}; leave it out"),
            ({"command": "e '{file}"}, "command: the command cannot be split into words (No closing quotation); close"),
            ({"command": " "}, "command: the command is empty; name a speech engine"),
            ({"command": "e {file}\n"}, "command: the command has the control character U+000A; put it on one line"),
            ({"voice": "-w"}, "voice: '-w' is no voice or language; name one as the speech engine does"),
            ({"voice": "a b"}, "voice: 'a b' is no voice or language;"),
            ({"language": ""}, "language: '' cannot be used; give some text"),
            ({"deadline": 0}, "deadline: 0 cannot be used; it must be greater than or equal to 0.1"),
            ({"deadline": 61}, "deadline: 61 cannot be used; it must be less than or equal to 60"),
            ({"folder": "sounds"}, "folder: 'sounds' is not an absolute path; write it from the root"),
            ({"message": ""}, "message: the text is empty; write what is to be said"),
            ({"goodbye": "x" * 1001}, "goodbye: the text has 1001 characters; use 1000 at most"),
            ({"caller_gone": "a\nb"}, "caller_gone: the text has the control character U+000A"),
            ({"prompt": "Press one."}, "prompt: the prompt does not name the key; put {key} where it is to be said"),
            ({"prompt": "Press {kay}."}, "prompt: '{kay}' is not known here; did you mean {key}?"),
            ({"cache_megabytes": 0}, "cache_megabytes: 0 cannot be used;"),
            ({"cache_days": 0}, "cache_days: 0 cannot be used;"),
        ],
    )
    def test_a_bad_value_is_told(self, section: dict[str, Any], problem: str) -> None:
        assert " ".join(problems(speech=section)).startswith(f"speech.{problem}")

    def test_other_engines_and_their_voices_are_taken_as_they_are(self) -> None:
        command = "piper -m '/opt/my voices/{voice}.onnx' --lang={language} -f {file}"
        speech = made(speech={"command": command, "voice": "en_US-amy+f3", "folder": "/srv/sounds"}).speech
        assert (speech.command, speech.voice, speech.folder) == (command, "en_US-amy+f3", "/srv/sounds")

    def test_music_and_the_place_for_keys_are_checked(self) -> None:
        assert problems(transfer={"music": "music.mp3"})[0].startswith("transfer.music: 'music.mp3' is not an absolute")
        assert problems(rtpengine={"dtmf_listen": "2224"})[0].startswith("rtpengine.dtmf_listen: '2224' is not host")
        assert made(rtpengine={"dtmf_listen": "127.0.0.1:2224"}).rtpengine.dtmf_listen == "127.0.0.1:2224"


def test_origins_are_compared_in_small_letters() -> None:
    origins = ["https://App.Example.com", "http://127.0.0.1:8000", "https://[::1]"]
    assert made(sip={"origins": origins}).sip.origins == tuple(origin.lower() for origin in origins)
