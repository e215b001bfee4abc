"""What the embedded stack keeps in its directory, and what may be mixed with what is there."""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from journey.errors import StateError

_LOCK_PATIENCE_SECONDS = 3.0
"""A stack that was killed a moment ago may still be on its way out."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    """What all data of one directory must have in common."""

    rules: int
    """Fingerprint of the funnel files."""
    funnels: str
    """Their names and versions, for people."""
    partitions: int
    id_key: str
    """Fingerprint of the key; tells nothing of it."""
    phone_region: str

    def differences(self, other: Identity) -> list[str]:
        """In words, how `other` (what the directory holds) differs."""
        found = []
        if self.rules != other.rules:
            found.append(
                f"funnels: it holds {other.funnels} (rules {other.rules:x}), this run has {self.funnels} (rules {self.rules:x})"
            )
        if self.partitions != other.partitions:
            found.append(f"partitions: it holds {other.partitions}, this run has {self.partitions}")
        if self.id_key != other.id_key:
            found.append("id key: it was filled with another one, so the same person would get another prospect id")
        if self.phone_region != other.phone_region:
            found.append(f"phone region: it holds {other.phone_region}, this run has {self.phone_region}")
        return found


def key_fingerprint(id_key: bytes) -> str:
    """Tells keys apart and nothing else of them."""
    return hmac.digest(id_key, b"buyer-journey key fingerprint 1", "sha256").hex()[:16]


class DataDir:
    """The directory of one embedded stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.clickhouse = self.path / "clickhouse"
        self.snapshot = self.path / "changelog.snapshot"
        self.worker_files = self.path / "worker"
        self._identity = self.path / "identity.json"
        self._dirty = self.path / "unfinished"
        self._running = self.path / "running.json"
        self._key = self.path / "id.key"
        self._lock = self.path / "stack.lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory, so that only one stack uses it at a time.

        Raises:
            StateError: another process has it, or it can't be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("a+", encoding="utf-8")
        except OSError as error:
            raise StateError(f"cannot use the data directory {self.path}: {error.strerror}") from error
        with lock:
            deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
            while not _try_lock(lock):
                if time.monotonic() >= deadline:
                    lock.seek(0)
                    owner = lock.read().strip() or "unknown"
                    raise StateError(
                        f"{self.path} is in use by another stack (process {owner})",
                        hint="stop that one (Ctrl-C where it runs), or choose another directory with --data-dir",
                    )
                time.sleep(_POLL_SECONDS)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                self._running.unlink(missing_ok=True)
                lock.truncate(0)

    def id_key(self) -> str:
        """The directory's own secret, made once.

        Raises:
            StateError: it can't be read or written, or is empty.
        """
        try:
            with suppress(FileExistsError):
                descriptor = os.open(self._key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(32))
            key = self._key.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"the id key {self._key} can't be read or made: {error}") from error
        if not key:
            raise StateError(
                f"the id key {self._key} is empty", hint="restore it, or start over with --fresh after removing it"
            )
        return key

    @property
    def has_id_key(self) -> bool:
        """Whether a key was made."""
        return self._key.is_file()

    def check(self, identity: Identity) -> None:
        """Make sure that this run may add to what is there.

        Raises:
            StateError: the last run was cut off, or was of another identity; names what differs and how to go on.
        """
        if self._dirty.exists():
            raise StateError(
                f"the last run in {self.path} was cut off, and the funnel state with it (the embedded broker keeps nothing on disk)",
                hint="start over with --fresh (removes the facts and the state there) and read the files again, or choose another --data-dir",
            )
        held = self.identity()
        if held is not None and (differences := identity.differences(held)):
            raise StateError(
                f"{self.path} can't be added to by this run:\n"
                + "\n".join(f"  - {difference}" for difference in differences),
                hint="set them as they were, start over with --fresh, or choose another --data-dir",
            )

    @property
    def cut_off(self) -> bool:
        """Whether a run began and did not end in order."""
        return self._dirty.exists()

    def identity(self) -> Identity | None:
        """Whose data it holds; None where it holds none.

        Raises:
            StateError: the note can't be read.
        """
        try:
            return Identity(**json.loads(self._identity.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StateError(
                f"{self._identity} can't be read", hint="start over with --fresh, or choose another --data-dir"
            ) from error

    def note(self, identity: Identity) -> None:
        """Note whose data it holds."""
        _write_whole(self._identity, json.dumps(asdict(identity)).encode())

    def begin(self, identity: Identity) -> None:
        """Note whose data it holds, and that a run has begun whose state is not on disk."""
        self.note(identity)
        _write_whole(self._dirty, b"")

    def finish(self) -> None:
        """Note that the run ended in order: everything of it is on disk."""
        self._dirty.unlink(missing_ok=True)
        _sync_directory(self.path)

    def wipe(self) -> None:
        """Remove facts and state; the id key stays, so that people keep their prospect ids.

        Raises:
            StateError: something can't be removed.
        """
        try:
            for directory in (self.clickhouse, self.worker_files):
                if directory.exists():
                    shutil.rmtree(directory)
            for file in (self.snapshot, self._identity, self._running, self._dirty):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{self.path} can't be cleared: {error}") from error

    def announce(self, where: dict[str, Any]) -> None:
        """Tell other commands where the stack listens. Holds no secrets."""
        _write_whole(self._running, json.dumps(where).encode())

    def running(self) -> dict[str, Any] | None:
        """Where a stack that runs in this directory listens; None where there is none."""
        try:
            with self._lock.open("r+", encoding="utf-8") as lock:
                if _try_lock(lock):
                    return None
            announced: dict[str, Any] = json.loads(self._running.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return announced


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
