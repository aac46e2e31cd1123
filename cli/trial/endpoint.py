"""Testing one endpoint: the steps in their order, each only where those before it leave something to test."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, Status, failed, ok, warning
from cli.trial.attempt import Identity, NoReply
from cli.trial.calling import NO_REPLY
from cli.trial.certificates import connect_tls
from cli.trial.client import Client
from cli.trial.line import Line, NoLine
from cli.trial.places import NotFound, find_places
from cli.trial.sound import Sound
from cli.trial.verdicts import (
    BUSY,
    DEAD,
    judge_abilities,
    judge_call,
    judge_codec,
    judge_login,
    judge_options,
    judge_sound,
)
from routing.transfer_record import Srtp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import dns.resolver

    from cli.trial.attempt import Attempt
    from cli.trial.places import Place
    from routing.settings_model import Tls

ENOUGH = 3.5
"""Seconds after which only one more of the addresses of an endpoint is tried."""

NO_DTLS = "calls, codecs, login and sound (srtp is dtls, which this test does not speak: hand a call over)"


@dataclass(frozen=True, slots=True)
class Plan:
    """How an endpoint is to be tested; `ring` is how many seconds it may ring, 0 for a moment only."""

    uri: str
    identity: Identity
    codecs: Sequence[str]
    tls: Tls
    ca_file: str | None = None
    srtp: Srtp | None = None
    ring: float = 0.0
    quiet: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set where the test is broken off: nothing goes on ringing then."""


@dataclass(slots=True)
class Report:
    """What was found at an endpoint, and what was not looked at, with the reason."""

    uri: str
    checks: list[Finding] = field(default_factory=list)
    not_tested: list[str] = field(default_factory=list)
    certificate_days: int | None = None
    """Days left of the certificate that ends first; None where none was seen."""
    options_seconds: float | None = None
    """How long the reply to OPTIONS took; None where none came."""

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return all(check.status is not Status.FAILED for check in self.checks)


def examine(
    plan: Plan, tell: Callable[[str], None] = lambda _: None, resolver: dns.resolver.Resolver | None = None
) -> Report:
    """Test an endpoint; `tell` gets the step that is under way. All steps together end even where nothing answers."""
    report = Report(plan.uri)
    _Examination(plan, report, tell).run(resolver)
    return report


class _Examination:
    """One endpoint under test."""

    def __init__(self, plan: Plan, report: Report, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._report = report
        self._tell = tell
        self._last = True

    def run(self, resolver: dns.resolver.Resolver | None) -> None:
        self._tell("DNS")
        try:
            how, places = find_places(self._plan.uri, resolver)
        except NotFound as error:
            self._note(failed("dns", str(error), "check the host of the endpoint, its DNS zone and /etc/resolv.conf"))
            return
        self._note(ok("dns", f"{how}: {', '.join(map(str, places))}"))
        began = time.monotonic()
        for number, place in enumerate(places):
            late = time.monotonic() - began > ENOUGH
            self._last = late or place is places[-1]
            self._tell(f"connecting to {place}")
            before = len(self._report.checks)
            line = self._connect(place)
            if line is not None:
                with line:
                    if self._talk(line):
                        self._forgive(before)
                        return
            if late and places[number + 1 :]:
                self._report.not_tested.append(f"other addresses: {', '.join(map(str, places[number + 1 :]))}")
                return

    def _forgive(self, end: int) -> None:
        """Make warnings of the faults of places before the one that answers: calls come through, only later."""
        for number, check in enumerate(self._report.checks[:end]):
            if check.status is Status.FAILED:
                self._report.checks[number] = replace(check, status=Status.WARNING)

    def _connect(self, place: Place) -> Line | None:
        if place.transport == "tls":
            shaken, known = connect_tls(place, self._plan.tls, self._plan.ca_file), self._report.certificate_days
            self._note(*shaken.findings)
            if shaken.days is not None:
                self._report.certificate_days = shaken.days if known is None else min(known, shaken.days)
            return shaken.line
        began = time.monotonic()
        try:
            line = Line(place)
        except NoLine as error:
            self._note(failed(place.transport, f"{place}: {error}", DEAD))
            return None
        if place.transport == "tcp":
            self._note(ok("tcp", f"{place} connected in {(time.monotonic() - began) * 1000:.0f} ms"))
        return line

    def _talk(self, line: Line) -> bool:
        """Send SIP there; False where nobody answered, so that the next place is to be tried, as Kamailio does."""
        client = Client(line, self._plan.uri, self._plan.identity, self._plan.stopped)
        try:
            options = self._options(client, alone=self._plan.quiet or self._plan.srtp is Srtp.DTLS)
            if options is None and not self._last:
                self._note(failed("options", f"{line.place}: no reply in {NO_REPLY:g} s", DEAD))
                return False
            if self._plan.quiet:
                self._report.not_tested.append("calls, codecs, login and sound (--quiet)")
            elif self._plan.srtp is Srtp.DTLS:
                self._report.not_tested.append(NO_DTLS)
            else:
                return self._calls(line, client, options)
            if options:
                self._note(*judge_abilities([options]))
        except NoLine as error:
            self._note(failed(line.place.transport, f"{line.place}: {error}", DEAD))
            return False
        return options is not None

    def _options(self, client: Client, *, alone: bool) -> Attempt | None:
        """Send OPTIONS; where it stays `alone`, since no calls follow, silence is a failure by itself."""
        self._tell("OPTIONS")
        try:
            attempt = client.options()
        except NoReply:
            if alone and self._last:
                self._note(failed("options", f"no reply in {NO_REPLY:g} s", DEAD))
            return None
        self._report.options_seconds = attempt.seconds
        self._note(judge_options(attempt))
        return attempt

    def _calls(self, line: Line, client: Client, options: Attempt | None) -> bool:
        plan = self._plan
        encrypted = plan.srtp is Srtp.REQUIRED or (plan.srtp is None and plan.uri.lower().startswith("sips:"))
        with Sound(line.address, encrypted=encrypted) as sound:
            self._tell("calling, and letting it ring" if plan.ring else "calling")
            try:
                together = client.invite(sound, plan.codecs, ring=plan.ring, listen=True)
            except NoReply:
                self._note(*self._silent(options))
                return options is not None
            if options is None:
                self._note(
                    warning("options", f"no reply in {NO_REPLY:g} s", "let it answer OPTIONS: others take it for dead")
                )
            self._note(*judge_login(together, plan.identity.user))
            if together.status in {401, 407}:
                return True
            alone = self._alone(client, sound, together)
        self._note(judge_call(together, alone))
        self._note(*(judge_codec(codec, attempt, together) for codec, attempt in alone.items()))
        if together.heard:
            self._note(*judge_sound(together.heard, encrypted=encrypted))
            if encrypted:
                self._report.not_tested.append("sound to it (it is encrypted; what came from it was counted)")
        elif together.answered:
            mend = "see whether it is a phone: its answer has no audio, or refuses it (port 0 in its SDP)"
            self._note(failed("sound from it", "it answers without sound", mend))
        elif together.good:
            self._report.not_tested.append("sound (it did not answer; with --ring somebody can)")
        if plan.srtp is Srtp.OPTIONAL:
            self._report.not_tested.append("encrypted sound (the call was offered without)")
        self._note(*judge_abilities([attempt for attempt in (options, together) if attempt]))
        return True

    def _alone(self, client: Client, sound: Sound, together: Attempt) -> dict[str, Attempt | None]:
        """Call it with each codec alone, unless what it said has nothing to do with codecs."""
        found: dict[str, Attempt | None] = {}
        if len(self._plan.codecs) < 2 or not (together.good or together.status in {415, 488, 606}):
            return found
        for codec in self._plan.codecs:
            self._tell(f"calling with {codec} alone")
            try:
                found[codec] = client.invite(sound, [codec])
            except NoReply:
                found[codec] = None
            attempt = found[codec]
            if attempt is None or attempt.status in BUSY or self._plan.stopped.is_set():
                break
        return found

    @staticmethod
    def _silent(options: Attempt | None) -> list[Finding]:
        if options:
            mend = "see whether it takes calls from this node: some are silent to those they do not know"
            return [failed("call", "no reply to INVITE, though it answers OPTIONS", mend)]
        what = f"no reply in {NO_REPLY:g} s"
        return [failed("options", what, DEAD), failed("call", what, DEAD)]

    def _note(self, *findings: Finding) -> None:
        self._report.checks += findings
