"""What the test of each endpoint of a target is to be like, by the settings of both."""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, failed, ok
from cli.output import counted
from cli.trial.attempt import Identity
from cli.trial.endpoint import Plan, Report, examine
from routing.secret_sources import find_value
from routing.texts import BadValue
from routing.uris import on_trunk
from routing.users import read_contacts, user_of
from routing.values import parse_sip_uri

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from routing.settings import Settings
    from routing.store import Store
    from routing.target_fields import Endpoint
    from routing.targets import Target

    Work = Callable[[Callable[[str], None]], Report]


def prepare(
    settings: Settings,
    store: Store,
    target: Target,
    endpoint: Endpoint,
    stopped: threading.Event,
    *,
    ring: bool,
    quiet: bool,
) -> Work:
    """Prepare the test of an endpoint, which tells its steps; the store is asked here, by one thread."""
    if (user := user_of(endpoint.uri, settings.users)) is not None:
        report = _look_up(store, endpoint.uri, user)
        return lambda _: report
    try:
        uri = on_trunk(endpoint.uri, settings.tel_trunk)
    except BadValue as error:
        report = Report(endpoint.uri, [failed("trunk", error.what, error.mend)])
        return lambda _: report
    plan = Plan(
        uri=uri,
        identity=_identity(settings, target, endpoint),
        codecs=target.codecs or settings.transfer.codecs,
        tls=settings.tls,
        ca_file=target.ca_file,
        srtp=target.srtp,
        ring=(endpoint.ring_timeout or target.ring_timeout) if ring else 0.0,
        quiet=quiet,
        stopped=stopped,
    )
    return partial(_examine, plan, endpoint.uri)


def _examine(plan: Plan, uri: str, tell: Callable[[str], None]) -> Report:
    try:
        return replace(examine(plan, tell), uri=uri)
    except Exception as error:  # noqa: BLE001 - the others are still wanted, and this one is told as failed
        what = f"the test itself failed ({type(error).__name__}: {error})"
        return Report(uri, [failed("test", what, "this is a fault of handoff: please report it")])


def _identity(settings: Settings, target: Target, endpoint: Endpoint) -> Identity:
    """Tell who calls: the target's caller id where it is a URI, since there is no caller and no agent here."""
    sender = target.caller_id if ":" in target.caller_id else ""
    secret, trouble = None, ""
    if endpoint.secret is not None:
        try:
            secret = find_value(endpoint.secret, settings.security.key)
        except BadValue as error:
            trouble = str(error)
    user = endpoint.user or urllib.parse.unquote(parse_sip_uri(endpoint.uri).user or "")
    return Identity(sender, user, secret, trouble, settings.sip.user_agent, target.headers)


def _look_up(store: Store, uri: str, user: str) -> Report:
    """Say where the phones of a user are; only Kamailio has the connections on which they are reached."""
    phones = read_contacts(store.contacts([user]).get(user, ()), time.time())
    if not phones:
        mend = "see that a phone registers: handoff users list"
        return Report(uri, [failed("registration", f"no phone of {user} is registered", mend)])
    where = ", ".join(f"{phone.hop or phone.uri} ({phone.transport})" for phone in phones)
    found: list[Finding] = [ok("registration", f"{counted(len(phones), 'phone')}: {where}")]
    return Report(uri, found, ["requests to registered phones: they are reached only by handoff itself; call it"])
