"""Which endpoints of targets rest now, since when and why, for those who look at them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.diagnosis.finding import Finding, warning
from cli.output import seconds
from routing.texts import BadValue
from routing.uris import on_trunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routing.hunting import Failing
    from routing.settings import Settings
    from routing.store import Store
    from routing.targets import Target


def read_resting(store: Store) -> dict[str, Failing]:
    """Read which endpoints rest now, by URI; raises StoreUnavailable."""
    now = time.time()
    return {uri: found for uri, found in sorted(store.failing().items()) if found.rests(now)}


def resting_data(target: Target, resting: Mapping[str, Failing], settings: Settings) -> dict[str, Any]:
    """Tell which endpoints of a target rest, for programs; times in UTC."""
    return {
        "resting": [
            {"uri": uri, "why": resting[uri].why, "since": _utc(resting[uri].since), "until": _utc(resting[uri].ends)}
            for uri in endpoint_uris(target, settings)
            if uri in resting
        ]
    }


def resting_fields(target: Target, resting: Mapping[str, Failing], settings: Settings) -> list[tuple[str, str]]:
    """Tell the same to people; nothing where none rests."""
    return [("rests", f"{uri}, {_words(resting[uri])}") for uri in endpoint_uris(target, settings) if uri in resting]


def check_resting(targets: Iterable[Target], resting: Mapping[str, Failing], settings: Settings) -> list[Finding]:
    """Warn of each endpoint that rests."""
    users = [(target.name, endpoint_uris(target, settings)) for target in targets]
    mend = "check that it runs, its URI, and the network in between"
    return [
        warning(f"endpoint {uri}", f"{_words(found)}{_used_by(name for name, uris in users if uri in uris)}", mend)
        for uri, found in resting.items()
    ]


def _used_by(names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"; used by {found}" if found else ""


def _words(found: Failing) -> str:
    return f"left alone for {seconds(max(0.0, time.time() - found.since))} after {found.why}"


def endpoint_uris(target: Target, settings: Settings) -> list[str]:
    """Give the endpoints as they are called."""
    try:
        return [on_trunk(endpoint.uri, settings.tel_trunk) for endpoint in target.endpoints]
    except BadValue:  # a tel: URI without a trunk cannot be called
        return [endpoint.uri for endpoint in target.endpoints]


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
