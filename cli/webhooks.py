"""`handoff webhooks`: what waits to be posted, and what was given up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.output import Failed, OperatorCommand, counted, local_time, print_fields, print_json, print_table
from cli.webhook_posts import shown_url

if TYPE_CHECKING:
    from routing.store import Post, Store

COLUMNS = ("ID", "EVENT", "TRANSFER", "RECEIVER", "ATTEMPTS", "LAST", "WHY")
SHOWN = 20
"""How many of those that wait are looked at."""


@click.command(cls=OperatorCommand)
@click.option("--retry", metavar="ID", help="Send one again that was given up; `all` for all of them.")
@click.option("--drop", metavar="ID", help="Forget one that was given up; `all` for all of them.")
def webhooks(config: str | None, as_json: bool, retry: str | None, drop: str | None) -> None:
    """Show which events wait to be posted again, and which were given up.

    They are sent by `handoff exporter`, to the URLs of the section [webhooks].
    """
    settings = effective_settings(config)
    with connect(settings) as store:
        if retry is not None:
            revived = _revive(store, retry)
            print_json({"queued": revived}) if as_json else click.echo(f"{counted(len(revived), 'post')} queued again")
            return
        if drop is not None:
            dropped = _drop(store, drop)
            print_json({"dropped": dropped}) if as_json else click.echo(f"{counted(len(dropped), 'post')} dropped")
            return
        count, waiting, dead = store.count_posts(), store.waiting_posts(SHOWN), store.dead_posts()
    again = [post for post in waiting if post.attempts]
    urls = [shown_url(url) for url in settings.webhooks.urls]
    if as_json:
        lists = {"tried": [_data(post) for post in again], "dead": [_data(post) for post in dead]}
        print_json({"urls": urls, "waiting": count.waiting, **lists})
        return
    fields = [("receivers", ", ".join(urls) or "none: see [webhooks] in handoff.toml"), ("waiting", str(count.waiting))]
    print_fields([*fields, ("given up", str(count.dead))])
    for title, posts in (("tried, and to be tried again", again), ("given up", dead)):
        if posts:
            click.echo(f"\n{title}")
            print_table(COLUMNS, map(_row, posts))


def _revive(store: Store, wanted: str) -> list[str]:
    """Queue posts again that were given up, as if they were new."""
    chosen = _chosen(store, wanted)
    now = time.time()
    anew: dict[str, Any] = {"attempts": 0, "tried_at": None, "error": ""}
    oldest_first = reversed(chosen)
    return [post.id for post in oldest_first if store.revive_post(post.model_copy(update=anew), now)]


def _drop(store: Store, wanted: str) -> list[str]:
    chosen, now = _chosen(store, wanted), time.time()
    for post in chosen:
        store.drop_post(post, now)
    return [post.id for post in chosen]


def _chosen(store: Store, wanted: str) -> list[Post]:
    """Find those given up that are meant; raises Failed when there is none of that id."""
    chosen = [post for post in store.dead_posts() if wanted in {"all", post.id}]
    if not chosen and wanted != "all":
        raise Failed(f"no post {wanted} was given up: see `handoff webhooks`")
    return chosen


def _row(post: Post) -> tuple[str, ...]:
    last = local_time(post.tried_at) if post.tried_at else ""
    return post.id, post.event, post.event_id, shown_url(post.url), str(post.attempts), last, post.error


def _data(post: Post) -> dict[str, Any]:
    return {**post.model_dump(mode="json", exclude={"body"}), "url": shown_url(post.url)}
