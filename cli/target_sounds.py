"""The sounds of targets: files are converted and tried before they are used, texts are spoken before the first call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.output import Exit, Failed
from cli.playable import check_playable
from routing.speech import requests_for
from routing.store import StoreUnavailable
from routing.targets import SOUNDS, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.settings import Settings
    from routing.store import Store


def take_files(settings: Settings, target: Target, before: Target | None = None) -> Target:
    """Put the sound files of a target, as far as it had not the same `before`, where rtpengine finds them.

    Raises Failed for a file that cannot be converted, or that rtpengine cannot play.
    """
    for field in (f"{name}_file" for name in SOUNDS):
        given = getattr(target, field)
        if given and not (before and getattr(before, field) == given):
            file = _converted(settings, Path(given))
            check_playable(settings, file)
            target = target.model_copy(update={field: str(file)})
    return target


def _converted(settings: Settings, file: Path) -> Path:
    from cli.speech.convert import BadSound, convert  # noqa: PLC0415 - few targets have files
    from cli.speech.sound_file import duration  # noqa: PLC0415

    if settings.speech.folder is None:
        text = "no folder for sounds is known: set speech.folder in the configuration, or start `handoff up`"
        raise Failed(f"{file} cannot be used, since {text}", Exit.USAGE)
    folder = Path(settings.speech.folder)
    if file.parent == folder and duration(file):
        return file  # it has been converted before, and comes from an export
    try:
        return convert(file, folder)
    except BadSound as error:
        raise Failed(f"{file} cannot be used: {error}", Exit.USAGE) from error


def have_spoken(store: Store, settings: Settings, targets: Iterable[Target]) -> None:
    """Ask all nodes to speak the texts of these targets now, so that the first call need not wait for it."""
    requests = requests_for(sound for target in targets for sound in target.texts(settings.speech.prompt))
    try:
        for node in store.nodes() if requests else ():
            store.ask_speech(node, requests)
    except StoreUnavailable as error:
        text = f"Warning: the texts are not spoken in advance but when they are needed: {error.text}"
        click.echo(text, err=True)
