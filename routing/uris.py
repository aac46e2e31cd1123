"""SIP URIs as places to send requests to: which transport, which host, and numbers on a trunk."""

from __future__ import annotations

from routing.settings_lookup import normal_host
from routing.texts import SEPARATORS, BadValue, shown
from routing.values import check_endpoint, parse_sip_uri


def check_agent(text: str) -> str:
    """Check the URI of an agent, which has a host; raises BadValue."""
    if parse_sip_uri(text).scheme == "tel":
        raise BadValue(f"{shown(text)} names no host", mend="give a sip: or sips: URI")
    return check_endpoint(text)


def check_trunk(text: str) -> str:
    """Check the URI of a trunk, to which numbers are added as its user; raises BadValue."""
    uri = parse_sip_uri(check_agent(text))
    if uri.user:
        raise BadValue(f"{shown(text)} has a user", mend="leave out the part before the @, and that")
    return text


def on_trunk(uri: str, trunk: str | None) -> str:
    """Make of a tel: URI one on a trunk (RFC 3261 19.1.6), `trunk` being its URI; give any other as it is.

    Raises BadValue, 404, where there is no trunk.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "tel":
        return uri
    if trunk is None:
        raise BadValue(f"no trunk takes {shown(uri)}", 404, mend="give one of the [[trunks]] in the settings a uri")
    number, semicolon, parameters = rest.partition(";")
    scheme, _, place = trunk.partition(":")
    return f"{scheme}:{number.translate(SEPARATORS)}{semicolon}{parameters}@{place};user=phone"


def transport_of(uri: str) -> str:
    """Tell the transport that a URI names: "tls", "tcp" or "udp"; "" where DNS, or the size, decides.

    sips: always means TLS (RFC 5630 section 3.1).
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "sips":
        return "tls"
    for parameter in rest.rpartition("@")[2].partition("?")[0].split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "transport":
            return value.strip().lower()
    return ""


def is_web(uri: str) -> bool:
    """Tell whether a URI is that of a web page, reached by WebSocket (RFC 7118 section 5.3)."""
    return transport_of(uri) in {"ws", "wss"}


def may_be_tls(uri: str) -> bool:
    """Tell whether requests to a URI go by TLS, or may, since DNS decides (RFC 3263 section 4.1)."""
    transport, place = transport_of(uri), uri.partition(":")[2].rpartition("@")[2].partition(";")[0]
    return transport == "tls" or (not transport and ":" not in place and not place.rpartition(".")[2].isdigit())


def host_of(uri: str) -> str:
    """Give the host of a SIP URI in its normal form, an IPv6 address without its brackets; "" for what is none."""
    place = uri.partition(":")[2].rpartition("@")[2].partition(";")[0].partition("?")[0]
    end = place.find("]") + 1 or len(place.partition(":")[0])
    return normal_host(place[:end]).strip("[]")
