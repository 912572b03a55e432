"""Bring the embedded server from the cache folder, where earlier versions kept it, to the data folder.

What is in the folder goes one by one, `cluster` with the data last: until then the server lives in the old folder, from
then on in the new one. A move within a disk is a rename. To another disk each thing goes in four steps, so that a
process that is killed leaves what the next one can finish, and never half a thing under its own name:

    new/THING.moving   is a copy, compared with the original
    old/THING          is renamed to old/THING.moved
    new/THING.moving   is renamed to new/THING
    old/THING.moved    is deleted
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from mlops.embedded.account import Account, server_account
from mlops.embedded.failures import explained, failed
from mlops.embedded.ownership import others_only_read
from mlops.embedded.place import Place, locked
from mlops.embedded.postmaster import running
from mlops.embedded.private_copy import point_at_place
from mlops.embedded.progress import Progress
from mlops.embedded.server import EmbeddedServer
from mlops.exceptions import EmbeddedServerError
from mlops.settings import Settings, earlier_home

_CLUSTER = "cluster"
_COPIED, _MOVED = ".moving", ".moved"
_LOCKS = ("lock", "programs.lock")
_CACHES = ("dbt", "programs")
"""Folders that can be made again: where the new folder has its own, the old one is deleted."""


def folder_in_use(settings: Settings) -> Path:
    """Return the folder in which the user's embedded server lives now, running or not, or will be made."""
    old = _earlier(settings)
    return old if old is not None and _is_to_move(old, settings.home) else settings.home


def folder_not_in_use(settings: Settings) -> Path | None:
    """Return the folder of an earlier version that has a server, too, where the data folder has the one in use."""
    old = _earlier(settings)
    if old is None or not all(os.path.lexists(folder / _CLUSTER) for folder in (old, settings.home)):
        return None
    return None if old.samefile(settings.home) else old


def move_from_cache(settings: Settings, progress: Progress) -> None:
    """Move the embedded server to the data folder where an earlier version made it elsewhere; else do nothing.

    A server that runs is stopped for that, and not where anybody is connected. Two at once: the second waits. Raises
    EmbeddedServerError, which says what stands in the way; what is there is never lost or replaced.
    """
    old = _earlier(settings)
    if old is not None:
        move(old, settings.home, progress)


def move(old: Path, new: Path, progress: Progress) -> None:
    """Move the embedded server from the folder `old` to `new`, as `move_from_cache` does."""
    if not (_is_to_move(old, new) or _is_unfinished(old)):
        return
    if old.is_symlink() and not os.path.lexists(new):
        _link_instead(old, new)
        return
    with locked(new / "lock", progress), explained(new):
        if _is_to_move(old, new):
            _stop(old, new, progress)
        if not old.is_dir():
            return  # another process has moved it while we waited
        with locked(old / "lock", progress):
            _finish(old, new)
            if _is_to_move(old, new):
                _move_all(old.resolve(), new.resolve(), progress)
            _leave(old)


def _earlier(settings: Settings) -> Path | None:
    """Return where earlier versions kept what is in the data folder; None where the user says which folder it is."""
    return None if "home" in settings.model_fields_set else earlier_home()


def _is_to_move(old: Path, new: Path) -> bool:
    there = os.path.lexists(old / _CLUSTER) or os.path.lexists(old / (_CLUSTER + _MOVED))
    return there and not os.path.lexists(new / _CLUSTER)


def _is_unfinished(old: Path) -> bool:
    """Tell whether a process was killed between the arrival of the data and the end of the old folder."""
    try:
        ours = old.stat().st_uid == os.geteuid()
        return ours and {path.name for path in old.iterdir()} <= {*_LOCKS, _CLUSTER + _MOVED}
    except OSError:
        return False


def _link_instead(old: Path, new: Path) -> None:
    """Let `new` lead to where the link `old` leads: whoever put the folder elsewhere wants it there."""
    with explained(new), others_only_read():
        new.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            new.symlink_to(old.resolve())
        old.unlink(missing_ok=True)


def _stop(old: Path, new: Path, progress: Progress) -> None:
    server = EmbeddedServer(folder=old, home=old)
    if not server.is_running():
        return
    others = _sessions(server.up(progress).url)
    if others:
        raise EmbeddedServerError(
            f"The embedded TimescaleDB has to be stopped to be moved from {old} to {new}, and somebody is connected "
            f"({others}). Disconnect, or run `forecastle db down`, then run this again."
        )
    progress("Stopping the database", None)
    server.down(progress)


def _sessions(url: str) -> str:
    """Return who else is connected to the server: login and program of each, nothing where nobody is."""
    import psycopg

    try:
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT DISTINCT concat_ws(' with ', usename, nullif(application_name, '')) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1"
            ).fetchall()
    except psycopg.Error as error:
        raise EmbeddedServerError(
            "Whether anybody is connected to the embedded TimescaleDB cannot be seen, and it has to be stopped to be "
            f"moved: {' '.join(str(error).split())}. Run `forecastle db down`, then run this again."
        ) from error
    return ", ".join(who for (who,) in found)


def _move_all(old: Path, new: Path, progress: Progress) -> None:
    cluster = old / _CLUSTER
    account = server_account(cluster)
    if running(Place(old), account) is not None:
        raise EmbeddedServerError(f"The embedded TimescaleDB in {old} was just started. Run this again.")
    _refuse_inner_links(cluster, old, account)
    account.require_entry(new)
    progress(f"Moving the database to {new}", None)
    for thing in sorted(old.iterdir()):
        if thing.name in (_CLUSTER, *_LOCKS) or thing.name.startswith("programs.new-"):
            continue
        there = new / thing.name
        if thing.name in _CACHES and there.exists():
            shutil.rmtree(thing, ignore_errors=True)
        elif not there.is_dir():
            _bring(thing, there, Account())
    served_by = Place(new).last_programs()
    if served_by is not None and served_by.is_relative_to(old):
        Place(new).keep_programs(new / served_by.relative_to(old))
    point_at_place(new, account, progress)
    _bring(cluster, new / _CLUSTER, account)


def _refuse_inner_links(cluster: Path, old: Path, account: Account) -> None:
    """Raise EmbeddedServerError where a link in the data, as a tablespace is one, would lead nowhere after the move."""
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", str(old)) + "/*"
    found = account.run(["find", cluster, "-type", "l", "-lname", pattern, "-print", "-quit"])
    if found.stdout.strip():
        raise EmbeddedServerError(
            f"{found.stdout.strip().splitlines()[0]} is a link into {old}, so that folder cannot be moved. Set "
            f"FORECASTLE_HOME={old} to leave the embedded TimescaleDB there."
        )


def _bring(thing: Path, there: Path, account: Account) -> None:
    """Move `thing`, a file or a folder of `account`, in whose place `there` is nothing or a file to be replaced."""
    try:
        thing.rename(there)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    copy = there.with_name(there.name + _COPIED)
    _delete(copy)
    try:
        _copy(thing, copy, account)
    except BaseException:
        _delete(copy)
        raise
    thing.rename(thing.with_name(thing.name + _MOVED))
    _finish(thing.parent, there.parent)


def _copy(thing: Path, copy: Path, account: Account) -> None:
    """Copy `thing` to `copy`, all of it on the disk and compared with the original. Raises EmbeddedServerError."""
    what = thing.lstat()
    if stat.S_ISDIR(what.st_mode):
        copy.mkdir(mode=0o700)
        if account.uid is not None and account.gid is not None:
            os.chown(copy, account.uid, account.gid, follow_symlinks=False)
        done = account.run(["cp", "-a", "--", f"{thing}/.", copy])
        copy.chmod(stat.S_IMODE(what.st_mode))
    else:
        done = account.run(["cp", "-a", "--", thing, copy])
    if done.returncode == 0:
        done = account.run(["sync", "-f", copy])
    if done.returncode == 0:
        done = account.run(["diff", "-r", "--no-dereference", "--brief", thing, copy])
    if done.returncode != 0:
        why = failed(f"{thing} could not be moved to {copy.parent}", done.stdout, copy.parent)
        raise EmbeddedServerError(
            f"{why} FORECASTLE_HOME={thing.parent} leaves the embedded TimescaleDB where it is.", folder=copy.parent
        )


def _finish(old: Path, new: Path) -> None:
    """Go on with what was copied and compared before, and delete the originals of what has arrived.

    Copies that were not compared yet are deleted.
    """
    for original in old.glob(f"*{_MOVED}"):
        name = original.name.removesuffix(_MOVED)
        copy, there = new / (name + _COPIED), new / name
        if os.path.lexists(copy):
            copy.rename(there)
            _sync(new)
        if os.path.lexists(there):
            _delete(original)
        else:
            original.rename(old / name)
    for copy in new.glob(f"*{_COPIED}"):
        _delete(copy)


def _leave(old: Path) -> None:
    """Delete the old folder where nothing but its locks is left in it."""
    if _is_unfinished(old):
        for name in _LOCKS:
            (old / name).unlink(missing_ok=True)
        with suppress(OSError):
            old.resolve().rmdir()
            if old.is_symlink():
                old.unlink()


def _delete(path: Path) -> None:
    """Delete a file, a folder of ours or one that the server's account owns, which alone may look into it."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    owner = path.lstat()
    account = Account(owner.st_uid, owner.st_gid) if os.geteuid() == 0 != owner.st_uid else Account()
    account.run(["find", path, "-mindepth", "1", "-delete"])
    path.rmdir()


def _sync(folder: Path) -> None:
    """Have the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
