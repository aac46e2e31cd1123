"""What probes of targets on a schedule found last: as it is kept, and for those who look at it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from cli.diagnosis.finding import Finding, Status, ok, warning
from cli.output import counted, seconds
from routing.dialog import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cli.target_hours import Table
    from cli.trial.endpoint import Report
    from routing.store import Store
    from routing.targets import Target

PERIODS = 3
"""How many periods what was found is told of; afterwards nobody knows any more."""
LETTERS, FINDINGS = 300, 10
"""How long each text may be that is kept, and how many findings of one endpoint."""
ABILITIES = {"REFER", "Replaces"}
"""What need not be told again and again: calls get there without."""
WORST = (Status.FAILED, Status.WARNING, Status.OK)


class Found(Record):
    """What is not as it should be, and what to do."""

    part: str
    status: Status
    what: str
    mend: str


class EndpointProbe(Record):
    """What was found at one endpoint: its worst status, and all that is not ok, the worst first."""

    uri: str
    status: Status
    findings: tuple[Found, ...] = ()
    certificate_days: int | None = None
    options_seconds: float | None = None

    @classmethod
    def make(cls, report: Report) -> EndpointProbe:
        """Keep of a report what people want to know later."""
        bad = [each for each in report.checks if each.status is not Status.OK and each.part not in ABILITIES]
        bad.sort(key=lambda each: WORST.index(each.status))
        found = (Found(part=each.part, status=each.status, what=_cut(each.what), mend=_cut(each.mend)) for each in bad)
        return cls(
            uri=report.uri,
            status=bad[0].status if bad else Status.OK,
            findings=tuple(found)[:FINDINGS],
            certificate_days=report.certificate_days,
            options_seconds=report.options_seconds,
        )


class Probe(Record):
    """What was found at all endpoints of a target, when (seconds since the epoch), and by which node."""

    at: float
    every: float
    node: str
    endpoints: tuple[EndpointProbe, ...] = Field(min_length=1)

    @property
    def status(self) -> Status:
        """The worst of all."""
        return min((each.status for each in self.endpoints), key=WORST.index)

    def lines(self) -> list[str]:
        """Write down for people all that is not ok."""
        return [
            f"{endpoint.uri}: {found.part} {found.status}, {found.what} -> {found.mend}"
            for endpoint in self.endpoints
            for found in endpoint.findings
        ]


def read_probes(store: Store) -> dict[str, Probe]:
    """Read what was found last, by target; what is old is left out. Raises StoreUnavailable."""
    now = time.time()
    found = {name: read_probe(data) for name, data in sorted(store.target_probes().items())}
    return {name: probe for name, probe in found.items() if probe and now <= probe.at + PERIODS * probe.every}


def read_probe(data: bytes) -> Probe | None:
    """Read what was kept; None where another version wrote it."""
    try:
        return Probe.model_validate_json(data)
    except ValidationError:
        return None


def probe_data(target: Target, probes: Mapping[str, Probe]) -> dict[str, Any]:
    """Tell what was found at a target, for programs; null where nothing is known. Times in UTC."""
    probe = probes.get(target.name)
    if probe is None:
        return {"probe": None}
    at = datetime.fromtimestamp(probe.at, UTC).isoformat(timespec="seconds")
    return {"probe": {"status": probe.status, **probe.model_dump(mode="json", exclude={"every"}), "at": at}}


def probe_fields(target: Target, probes: Mapping[str, Probe]) -> list[tuple[str, str]]:
    """Tell the same to people; nothing of a target that is not probed."""
    if not target.probe_every:
        return []
    probe = probes.get(target.name)
    return [("probed", _words(target, probes)), *(("found", line) for line in (probe.lines() if probe else ()))]


def with_probes(table: Table, targets: Sequence[Target], probes: Mapping[str, Probe]) -> Table:
    """Give the list of targets one more column, where one of them is probed."""
    if not any(target.probe_every for target in targets):
        return table
    columns, rows = table
    return (*columns, "PROBED"), [[*row, _words(target, probes)] for row, target in zip(rows, targets, strict=True)]


def check_probes(targets: Iterable[Target], probes: Mapping[str, Probe]) -> list[Finding]:
    """Warn of each target that its last probe found something at, and of those that nobody probes."""
    probed = [target for target in targets if target.probe_every]
    found = []
    for target in probed:
        probe = probes.get(target.name)
        if probe is None:
            mend = "see that `handoff exporter` runs on a node, which `handoff up` starts, and look at its log"
            found.append(warning(f"target {target.name}", "no probe of it is known", mend))
        elif probe.status is not Status.OK:
            what = f"its probe {_ago(probe)} found: {'; '.join(probe.lines())}"
            found.append(warning(f"target {target.name}", what, f"then try `handoff targets test {target.name}`"))
    return found or ([ok("probes", f"{counted(len(probed), 'target')}, nothing is wrong")] if probed else [])


def _words(target: Target, probes: Mapping[str, Probe]) -> str:
    if not target.probe_every:
        return ""
    probe = probes.get(target.name)
    return f"{probe.status}, {_ago(probe)}" if probe else "not yet"


def _ago(probe: Probe) -> str:
    return f"{seconds(max(0.0, time.time() - probe.at))} ago"


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 3]}..."
