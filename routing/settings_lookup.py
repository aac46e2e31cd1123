"""The lookups that every call makes in the settings: prepared once, answered from memory the next time."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from routing.texts import SEPARATORS, BadValue, check_host, decode_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from routing.settings_model import Pool, Sip, Trunk

# Callers choose what is looked up, so the memory for it must be bounded.
REMEMBERED = 4096


def trunk_finder(trunks: Iterable[Trunk]) -> Callable[[str], Trunk | None]:
    """Prepare the search for the trunk that an IP address belongs to; the smallest network wins."""
    networks = [(ipaddress.ip_network(text), trunk) for trunk in trunks for text in trunk.addresses]
    networks.sort(key=lambda entry: entry[0].prefixlen, reverse=True)

    @lru_cache(REMEMBERED)
    def find(address: str) -> Trunk | None:
        try:
            caller = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return None
        return next((trunk for network, trunk in networks if caller in network), None)

    return find


def pool_finder(pools: Collection[Pool]) -> Callable[[str, str], Pool | None]:
    """Prepare the search for the pool of a called user and host: number, longest prefix, domain, all."""
    numbers = {number: pool for pool in pools for number in pool.numbers}
    domains = {domain: pool for pool in pools for domain in pool.domains}
    for_all = numbers.pop("*", None)
    prefixes = [(number[:-1], pool) for number, pool in numbers.items() if number.endswith("*")]
    prefixes.sort(key=lambda entry: len(entry[0]), reverse=True)

    @lru_cache(REMEMBERED)
    def find(user: str, host: str) -> Pool | None:
        number = called_number(user)
        if number in numbers:
            return numbers[number]
        by_prefix = next((pool for prefix, pool in prefixes if number.startswith(prefix)), None)
        return by_prefix or domains.get(normal_host(host)) or for_all

    return find


def dial_checker(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Prepare the question whether a host is one of those, or below one of those written *.domain."""
    hosts = frozenset(patterns)
    endings = tuple(pattern[1:] for pattern in hosts if pattern.startswith("*."))

    @lru_cache(REMEMBERED)
    def check(host: str) -> bool:
        name = normal_host(host)
        return name in hosts or name.endswith(endings)

    return check


def advertised(sip: Sip, listen: str) -> str:
    """Give the host:port by which others reach a place that we listen at; behind NAT only UDP and TCP share a port."""
    transport, _, place = listen.partition(":")
    if sip.advertise is None or transport in {"udp", "tcp"}:
        return sip.advertise or place
    return f"{sip.advertise.rpartition(':')[0]}:{place.rpartition(':')[2]}"


def called_number(user: str) -> str:
    """Return the user part of a Request-URI as a number: decoded, without parameters and separators."""
    try:
        return decode_percent(user).partition(";")[0].translate(SEPARATORS)
    except BadValue:
        return ""


def normal_host(host: str) -> str:
    """Return the host in its normal form, or "" where it is none."""
    try:
        return check_host(host)
    except BadValue:
        return ""
