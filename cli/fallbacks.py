"""Whether the fallbacks of targets lead somewhere: to targets that exist, not too many of them, and never back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.problems import Problem
from routing.targets import FALLBACKS
from routing.texts import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routing.targets import Target


def check_fallbacks(new: Iterable[Target], stored: Iterable[Target]) -> list[Problem]:
    """Find what is wrong with the fallbacks of `new` targets, which replace `stored` ones of the same name."""
    new = list(new)
    known = {target.name: target for target in (*stored, *new)}
    return [problem for target in new if (problem := _check(target, known))]


def _check(target: Target, known: Mapping[str, Target]) -> Problem | None:
    where = f"fallback of {target.name}"
    if target.fallback is not None and target.fallback not in known:
        others = known.keys() - {target.name}
        mend = nearest(target.fallback, others) if others else "add it first"
        return Problem(where, f"there is no target {target.fallback}", mend)
    way = [target.name]
    following: Target | None = target
    while following and following.fallback:
        way.append(following.fallback)
        if following.fallback in way[:-1]:
            return Problem(where, f"it goes round in a circle ({' -> '.join(way)})", "end the way at one of them")
        if len(way) > FALLBACKS + 1:
            what = f"more than {FALLBACKS} fallbacks follow one another ({' -> '.join(way)} ...)"
            return Problem(where, what, f"use {FALLBACKS} at most")
        following = known.get(following.fallback)
    return None


def used_by(name: str, stored: Iterable[Target]) -> list[str]:
    """Name the targets that have this one as their fallback."""
    return [target.name for target in stored if target.fallback == name]
