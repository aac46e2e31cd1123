"""What the test of each endpoint of a target is to be like, by the settings of both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cli.diagnosis.finding import failed
from cli.trial.attempt import Identity
from cli.trial.endpoint import Plan, Report, examine
from cli.trial.registered import look_up
from routing.secret_sources import find_value
from routing.texts import BadValue
from routing.uris import on_trunk
from routing.users import user_of

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
        return partial(_guarded, endpoint.uri, look_up(settings, store, endpoint.uri, user))
    try:
        uri = on_trunk(endpoint.uri, settings.tel_trunk)
    except BadValue as error:
        report = Report(endpoint.uri, [failed("trunk", error.what, error.mend)])
        return lambda _: report
    plan = Plan(
        uri=uri,
        identity=_identity(settings, target, endpoint, uri),
        codecs=target.codecs or settings.transfer.codecs,
        tls=settings.tls,
        ca_file=target.ca_file,
        srtp=target.srtp,
        ring=(endpoint.ring_timeout or target.ring_timeout) if ring else 0.0,
        quiet=quiet,
        stopped=stopped,
    )
    return partial(_guarded, endpoint.uri, partial(examine, plan))


def _guarded(uri: str, work: Work, tell: Callable[[str], None]) -> Report:
    try:
        return replace(work(tell), uri=uri)
    except Exception as error:  # noqa: BLE001 - the others are still wanted, and this one is told as failed
        what = f"the test itself failed ({type(error).__name__}: {error})"
        return Report(uri, [failed("test", what, "this is a fault of handoff: please report it")])


def _identity(settings: Settings, target: Target, endpoint: Endpoint, uri: str) -> Identity:
    """Tell who calls `uri`: the target's caller id where it is a URI, since there is no caller and no agent here."""
    sender = target.caller_id if ":" in target.caller_id else ""
    secret, trouble = None, ""
    if endpoint.secret is not None:
        try:
            secret = find_value(endpoint.secret, settings.security.key)
        except BadValue as error:
            trouble = str(error)
    return Identity(sender, endpoint.login_at(uri), secret, trouble, settings.sip.user_agent, target.headers)
