"""The embedded ClickHouse as a process: it never outlives its owner, keeps its data, and shares its directory with nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import ClickHouseError, EmbeddedClickHouse, address_in
from tests.broker import wait_until

OWNER = """
import sys
from pathlib import Path
from journey.local_clickhouse import EmbeddedClickHouse
server = EmbeddedClickHouse(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def ask(server: EmbeddedClickHouse, sql: str) -> object:
    """One value."""
    client = Client(server.host, port=server.native_port)
    try:
        rows = client.execute(sql)
    finally:
        client.disconnect()
    return rows[0][0] if rows else None


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_data_outlives_stop_and_kill_and_ports_stay(tmp_path: Path) -> None:
    """What was inserted is there after a clean stop and after SIGKILL, at the same address."""
    server = EmbeddedClickHouse(tmp_path)
    with server:
        ask(server, "CREATE TABLE default.t (n UInt32) ENGINE = MergeTree ORDER BY n")
        ports = (server.native_port, server.http_port)
        for number, end in enumerate((server.stop, server.kill), 1):
            ask(server, f"INSERT INTO default.t SELECT {number}")
            end()
            assert server.pid is None
            assert address_in(tmp_path) is None
            server.start()
            assert (server.native_port, server.http_port) == ports
            assert ask(server, "SELECT count() FROM default.t") == number
    assert server.pid is None


def test_a_directory_in_use_is_refused_by_process_and_port(tmp_path: Path) -> None:
    """A second server says whose the directory is; the first goes on."""
    with EmbeddedClickHouse(tmp_path) as server:
        with pytest.raises(
            ClickHouseError, match=rf"in use by a ClickHouse, process {server.pid} \(native port {server.native_port}\)"
        ):
            EmbeddedClickHouse(tmp_path).start()
        with pytest.raises(ClickHouseError, match="runs already"):
            server.start()
        address = address_in(tmp_path)
        assert address is not None
        assert address[1:] == (server.native_port, server.http_port, server.pid)
        assert ask(server, "SELECT 1") == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_owner(tmp_path: Path, how: signal.Signals) -> None:
    """However the owner ends, its server ends too, and the directory is free again."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert is_alive(pid)
    owner.send_signal(how)
    owner.communicate()
    wait_until(lambda: not is_alive(pid), seconds=10, what="the server is gone")
    with EmbeddedClickHouse(tmp_path) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """A server that could not listen is not started, and the error says why."""
    with EmbeddedClickHouse(tmp_path / "first") as first:
        second = EmbeddedClickHouse(tmp_path / "second", native_port=first.native_port)
        with pytest.raises(ClickHouseError, match=f"port {first.native_port}.*is taken"):
            second.start()
        assert second.pid is None
        assert ask(first, "SELECT 1") == 1


def test_secrets_are_not_handed_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our settings hold passwords and the key of identities; the server needs none of them."""
    monkeypatch.setenv("JOURNEY_ID_KEY", "a key that nobody else may see")
    with EmbeddedClickHouse(tmp_path) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_bytes()
    assert b"JOURNEY_" not in environment


def test_it_keeps_no_log_of_its_own(tmp_path: Path) -> None:
    """Logs of queries would hold the names that people asked for, also of those who are to be forgotten."""
    with EmbeddedClickHouse(tmp_path) as server:
        ask(server, "SYSTEM FLUSH LOGS")
        kept = "SELECT count() FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'"
        assert ask(server, kept) == 0


def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """The error names it and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ClickHouseError, match=r"file/inside for ClickHouse.*choose a directory"):
        EmbeddedClickHouse(tmp_path / "file" / "inside").start()


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    """Nobody else on the network reaches it: it has no password."""
    with EmbeddedClickHouse(tmp_path) as server:
        listening = [line.split() for line in Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()[1:]]
        ours = {f"{port:04X}" for port in (server.native_port, server.http_port)}
        addresses = {
            fields[1].split(":")[0] for fields in listening if fields[3] == "0A" and fields[1].split(":")[1] in ours
        }
    assert addresses == {"0100007F"}
