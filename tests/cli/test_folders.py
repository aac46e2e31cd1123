"""A folder belongs to one instance at a time, and goes when it was made for it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli.folders import LOCK, Folder, FolderError, find_sounds_problem, state_dir


def test_a_missing_folder_is_made_for_its_owner_alone_and_removed(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path / "a" / "run", "--run-dir")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.leave(remove=True)
    assert not folder.path.exists()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    Folder.take(tmp_path, "--run-dir").leave(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_of_somebody_else_in_it_stays(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path / "run", "--run-dir")
    (folder.path / "core").write_text("")
    folder.leave(remove=True)
    assert [path.name for path in folder.path.iterdir()] == ["core"]


def test_a_folder_with_data_stays(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path / "state", "--state-dir")
    folder.leave(remove=False)
    assert list(folder.path.iterdir()) == []


def test_a_second_instance_is_told_who_has_the_folder(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path, "--run-dir")
    with pytest.raises(FolderError, match=r"another handoff \(process \d+\) uses this folder; stop it, or give --run"):
        Folder.take(tmp_path, "--run-dir")
    folder.leave(remove=True)
    Folder.take(tmp_path, "--run-dir").leave(remove=True)


def test_a_folder_whose_owner_was_killed_is_taken_over_with_the_duty_to_remove_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / LOCK).write_text(json.dumps({"pid": 1, "made": True}))
    Folder.take(run, "--run-dir").leave(remove=True)
    assert not run.exists()


def test_daemons_that_outlive_their_instance_keep_the_folder_and_the_text_says_so(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path, "--run-dir")
    with subprocess.Popen(["sleep", "1000"], pass_fds=[folder.descriptor]) as daemon:
        os.close(folder.descriptor)  # as if its process had been killed
        gone = subprocess.Popen(["true"])
        gone.wait()
        (tmp_path / LOCK).write_text(json.dumps({"pid": gone.pid, "made": False}))
        with pytest.raises(FolderError, match=rf"daemons of an earlier run \(process {gone.pid}\) have not ended yet"):
            Folder.take(tmp_path, "--run-dir")
        daemon.terminate()
    Folder.take(tmp_path, "--run-dir").leave(remove=True)


def test_a_lock_file_that_is_damaged_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("[")
    Folder.take(tmp_path, "--run-dir").leave(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_folder_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        FolderError, match=r"file: the folder cannot be used \(File exists\); choose another by --run-dir"
    ):
        Folder.take(tmp_path / "file", "--run-dir")


def test_clearing_removes_files_and_folders_of_these_names_only(tmp_path: Path) -> None:
    folder = Folder.take(tmp_path, "--run-dir")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "1.db").write_text("")
    (tmp_path / "settings.json").write_text("")
    (tmp_path / "other").write_text("")
    folder.clear(["metrics", "settings.json", "missing"])
    folder.leave(remove=True)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_state_dir_is_what_the_environment_names() -> None:
    assert state_dir({"HANDOFF_STATE_DIR": "/srv/handoff"}) == Path("/srv/handoff")


@pytest.mark.parametrize(
    ("uid", "environ", "expected"),
    [
        (0, {}, Path("/var/lib/handoff")),
        (1000, {"XDG_STATE_HOME": "/home/a/st"}, Path("/home/a/st/handoff")),
        (1000, {}, Path.home() / ".local/state/handoff"),
    ],
)
def test_the_usual_state_dir_depends_on_the_user(
    monkeypatch: pytest.MonkeyPatch, uid: int, environ: dict[str, str], expected: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert state_dir(environ) == expected


def test_a_missing_folder_of_sounds_is_made(tmp_path: Path) -> None:
    assert find_sounds_problem(tmp_path / "srv" / "sounds") is None
    assert (tmp_path / "srv" / "sounds").is_dir()


def test_a_folder_of_sounds_that_cannot_be_made_or_written_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    problem = find_sounds_problem(tmp_path / "file" / "sounds")
    assert problem is not None
    assert problem.where == "speech.folder"
    assert "cannot be made (Not a directory)" in problem.what
    monkeypatch.setattr("os.access", lambda *_: False)
    own = find_sounds_problem(tmp_path)
    assert own is not None
    assert own.what == f"{tmp_path}, which belongs to this user, cannot be written to"
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    foreign = find_sounds_problem(tmp_path)
    assert foreign is not None
    assert "which belongs to somebody else" in foreign.what
