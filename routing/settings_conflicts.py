"""What single values cannot tell: settings that contradict one another.

They are looked for in the data as it was read, so that they are reported together with values that are wrong.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from routing.problems import Problem, place
from routing.settings_fields import check_host_port, check_listen, check_network, check_pattern, check_webhook
from routing.settings_model import Metrics, Rtpengine, Sip, Tls, Trace, Users
from routing.texts import BadValue, check_host, check_name, shown
from routing.values import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Place = tuple[str | int, ...]

# What must not be there twice: where it is, its normal form, and how many parts of the place it is unique within.
UNIQUE: tuple[tuple[tuple[str, ...], Callable[[str], str], int], ...] = (
    (("trunks", "*", "name"), check_name, 0),
    (("trunks", "*", "addresses", "*"), check_network, 0),
    (("pools", "*", "name"), check_name, 0),
    (("pools", "*", "numbers", "*"), check_pattern, 0),
    (("pools", "*", "domains", "*"), check_host, 0),
    (("pools", "*", "agents", "*", "uri"), check_endpoint, 2),
    (("users", "domains", "*"), check_host, 0),
    (("webhooks", "urls", "*"), check_webhook, 0),
)
SECTIONS = {"sip": Sip, "tls": Tls, "rtpengine": Rtpengine, "metrics": Metrics, "users": Users, "trace": Trace}
WILDCARDS = {"0.0.0.0", "[::]"}  # noqa: S104 - compared with, not listened at


def find_conflicts(data: Mapping[str, Any]) -> list[Problem]:
    """Find what contradicts something else in the data of a settings file, defaults taken into account."""
    full = dict(data)
    for name, section in SECTIONS.items():
        given = data.get(name, {})
        if isinstance(given, dict):
            full[name] = {**section().model_dump(), **given}
    checks = _repeated, _unused_pools, _overlapping, _media_ports, _copies, _certificates, _half_logins, _expiry
    return [problem for check in checks for problem in check(full)]


def each(data: object, *path: str) -> Iterator[tuple[Place, Any]]:
    """Walk to all values at a path, where "*" is every item of a list; what is of another form is passed over."""
    if not path:
        yield (), data
        return
    step, *rest = path
    items: Iterator[tuple[str | int, object]] = iter(())
    if step == "*" and isinstance(data, list | tuple):
        items = iter(enumerate(data))
    elif isinstance(data, dict) and step in data:
        items = iter([(step, data[step])])
    for key, inner in items:
        for where, value in each(inner, *rest):
            yield (key, *where), value


def _valid(data: object, path: tuple[str, ...], check: Callable[[str], str]) -> Iterator[tuple[Place, str]]:
    """Walk to the values that pass their own check; the others are reported by it."""
    for where, value in each(data, *path):
        try:
            yield where, check(value)
        except (BadValue, TypeError, AttributeError):
            continue


def _repeated(data: Mapping[str, Any]) -> Iterator[Problem]:
    for path, check, within in UNIQUE:
        first: dict[tuple[Place, str], Place] = {}
        for where, value in _valid(data, path, check):
            key = (where[:within], value)
            if key in first:
                yield Problem(place(where), f"{shown(value)} is also at {place(first[key])}", "keep one of them")
            first.setdefault(key, where)


def _unused_pools(data: Mapping[str, Any]) -> Iterator[Problem]:
    for where, pool in each(data, "pools", "*"):
        if isinstance(pool, dict) and not pool.get("numbers") and not pool.get("domains"):
            yield Problem(place(where), "no call would reach this pool", 'add numbers = ["*"] or domains = [...]')


def _overlapping(data: Mapping[str, Any]) -> Iterator[Problem]:
    listens = list(_valid(data, ("sip", "listen", "*"), check_listen))
    exporter = _valid(data, ("metrics", "listen"), lambda text: f"tcp:{check_host_port(text)}")
    for (where, one), (other_where, other) in combinations([*listens, *exporter, *_sidecar_places(data)], 2):
        transport, address, port = _split_listen(one)
        other_transport, other_address, other_port = _split_listen(other)
        same_family = address.startswith("[") == other_address.startswith("[")
        wild = same_family and bool(WILDCARDS & {address, other_address})
        same_kind = (transport == "udp") == (other_transport == "udp")
        if same_kind and port == other_port and (address == other_address or wild):
            yield Problem(
                place(other_where), f"{shown(other)} is taken by {place(where)}", "use another port or address"
            )


def _sidecar_places(data: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Give where the sidecar listens."""
    for path in (("rtpengine", "dtmf_listen"), ("trace", "listen")):
        yield from _valid(data, path, lambda text: f"udp:{check_host_port(text)}")


def _copies(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find places that copies of SIP messages cannot go to, or would never leave."""
    for where, listen in _valid(data, ("trace", "listen"), check_host_port):
        for homer_where, homer in _valid(data, ("trace", "homer"), check_host_port):
            if homer == listen:
                yield Problem(place(homer_where), f"it is {place(where)} itself", "name the Homer, or leave it out")
        families = {
            "[" in one for _, one in _valid(data, ("sip", "listen", "*"), check_listen) if one.startswith("udp:")
        }
        is_six, is_four = listen.startswith("["), listen.replace(".", "").replace(":", "").isdigit()
        if families and (is_six or is_four) and is_six not in families:
            what = f"sip.listen has no udp of IPv{6 if is_six else 4} to send copies to {shown(listen)} from"
            yield Problem(place(where), what, f"use an address of IPv{4 if is_six else 6}, or leave it out")


def _media_ports(data: Mapping[str, Any]) -> Iterator[Problem]:
    rtpengine = data["rtpengine"] if isinstance(data["rtpengine"], dict) else {}
    low, high = rtpengine.get("port_min"), rtpengine.get("port_max")
    if type(low) is not int or type(high) is not int:  # a bool is an int as well, and reported already
        return
    if low >= high:
        yield Problem("rtpengine.port_min", f"{low} is not below port_max {high}", "widen the range")
    elif not rtpengine["nodes"]:
        interface = str(rtpengine["interface"]).partition("!")[0]
        listens = _valid(data, ("sip", "listen", "*"), check_listen)
        for where, listen in (*listens, *_sidecar_places(data)):
            transport, address, port = _split_listen(listen)
            shared = address in WILDCARDS or address.strip("[]") == interface
            if transport == "udp" and shared and low <= port <= high:
                yield Problem(
                    place(where), f"port {port} is also for media (rtpengine.port_min)", "use one outside the range"
                )


def _certificates(data: Mapping[str, Any]) -> Iterator[Problem]:
    tls = data["tls"] if isinstance(data["tls"], dict) else {}
    own, key = tls.get("certificate"), tls.get("key")
    if bool(own) != bool(key):
        given, missing = ("certificate", "key") if own else ("key", "certificate")
        yield Problem(f"tls.{given}", f"it is of no use without tls.{missing}", f"give tls.{missing} as well")
    elif not own:
        for where, listen in _valid(data, ("sip", "listen", "*"), check_listen):
            if listen.startswith(("tls:", "wss:")):
                yield Problem(place(where), "TLS needs a certificate here", "give tls.certificate and tls.key")


def _expiry(data: Mapping[str, Any]) -> Iterator[Problem]:
    users = data["users"] if isinstance(data["users"], dict) else {}
    least, most = users.get("min_expires"), users.get("max_expires")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield Problem("users.min_expires", f"{least} is more than max_expires {most}", "make it less")


def _split_listen(text: str) -> tuple[str, str, int]:
    transport, _, rest = text.partition(":")
    address, _, port = rest.rpartition(":")
    return transport, address, int(port)


def _half_logins(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find trunks with a user or a secret alone."""
    for where, trunk in each(data, "trunks", "*"):
        if isinstance(trunk, dict) and (trunk.get("user") is None) != (trunk.get("secret") is None):
            given, missing = ("user", "secret") if trunk.get("user") is not None else ("secret", "user")
            yield Problem(place((*where, given)), f"it has no {missing} beside it", f"give the {missing} as well")
