"""The data directory: one stack at a time, one identity, and honest about runs that were cut off."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from journey import data_dir as module
from journey.data_dir import DataDir, Identity, key_fingerprint
from journey.errors import StateError

OURS = Identity(rules=7, funnels="sales v1", partitions=4, id_key=key_fingerprint(b"one key"), phone_region="US")


def test_only_one_stack_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a process holds it, others are refused by its id; when it is gone, the next gets it."""
    monkeypatch.setattr(module, "_LOCK_PATIENCE_SECONDS", 0.1)
    script = (
        "import sys; from pathlib import Path; from journey.data_dir import DataDir\n"
        "with DataDir(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StateError, match=f"in use by another stack .process {holder.pid}"),
            DataDir(tmp_path).locked(),
        ):
            pass
        holder.kill()
    with DataDir(tmp_path).locked():
        pass


def test_the_id_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    """Mode 0600, long, and the same ever after; wiping keeps it."""
    data = DataDir(tmp_path)
    key = data.id_key()
    assert len(key) == 64
    assert (tmp_path / "id.key").stat().st_mode & 0o777 == 0o600
    data.begin(OURS)
    data.wipe()
    assert DataDir(tmp_path).id_key() == key
    assert data.identity() is None


def test_a_run_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """Until it has finished, or was wiped."""
    data = DataDir(tmp_path)
    data.check(OURS)
    data.begin(OURS)
    with pytest.raises(StateError, match="cut off") as refused:
        data.check(OURS)
    assert "--fresh" in refused.value.hint
    data.finish()
    data.check(OURS)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rules": 8, "funnels": "b2b v1"}, r"funnels: it holds sales v1 \(rules 7\), this run has b2b v1 \(rules 8\)"),
        ({"partitions": 8}, "partitions: it holds 4, this run has 8"),
        ({"id_key": key_fingerprint(b"another key")}, "id key: it was filled with another one"),
        ({"phone_region": "DE"}, "phone region: it holds US, this run has DE"),
    ],
)
def test_what_can_not_be_mixed_is_refused_by_name(tmp_path: Path, change: dict[str, object], named: str) -> None:
    """Each part of the identity, by itself."""
    data = DataDir(tmp_path)
    data.note(OURS)
    data.check(OURS)
    with pytest.raises(StateError, match=named):
        data.check(dataclasses.replace(OURS, **change))


def test_wiping_takes_only_what_is_ours(tmp_path: Path) -> None:
    """A file that we don't know stays: people may have named the wrong directory."""
    (tmp_path / "thesis.tex").write_text("years of work")
    data = DataDir(tmp_path)
    data.clickhouse.mkdir()
    data.snapshot.write_bytes(b"x")
    data.wipe()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_stack_that_runs_is_found(tmp_path: Path) -> None:
    """What it announced is seen while it holds the directory, and not after."""
    data = DataDir(tmp_path)
    with data.locked():
        data.announce({"kafka": "127.0.0.1:1"})
        assert DataDir(tmp_path).running() == {"kafka": "127.0.0.1:1"}
    assert DataDir(tmp_path).running() is None


def test_the_fingerprint_of_a_key_is_not_the_key() -> None:
    """It tells keys apart, and is short."""
    assert key_fingerprint(b"a") != key_fingerprint(b"b")
    assert len(key_fingerprint(b"a" * 99)) == 16
