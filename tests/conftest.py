"""What all tests share: a wall around the network, where the recorded market data is, and repeatable property tests."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

# Processes that tests start must run this checkout too, wherever it is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY / "src"), os.environ.get("PYTHONPATH"))))

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class NetworkLeakError(RuntimeError):
    """A test tried to reach beyond this machine."""


_leaks: list[str] = []


def _is_local(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _refuse(place: Any) -> None:
    _leaks.append(f"{place}")
    raise NetworkLeakError(f"a test reached for {place}; allowed is loopback alone: start a local server instead")


def _guard_connections() -> None:
    """Check every address before the operating system sees it; names are refused before they are looked up."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name: str) -> Any:
        def call(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
                _refuse(address)
            return real[name](self, *arguments)

        return call

    for name in real:
        setattr(socket.socket, name, guarded(name))

    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        if not _is_local(host):
            _refuse(host)
        return look_up(host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


_guard_connections()


@pytest.fixture(autouse=True)
def no_network_leak() -> Iterator[None]:
    """Fail the test that reached out even when the code under test swallowed the refusal."""
    _leaks.clear()
    yield
    leaks, _leaks[:] = list(_leaks), []
    if leaks:
        pytest.fail(f"the network was reached for: {', '.join(leaks)}")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the developer's own configuration out of every test."""
    for variable in list(os.environ):
        if variable.upper().startswith(("SOVEREIGN__", "SOVEREIGN_CONFIG")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-user-configuration"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recorded market data: `SOVEREIGN_SHARED_DATA`, else `shared/data` beside the checkout."""
    given = os.environ.get("SOVEREIGN_SHARED_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"recorded market data was not found at {folder}; set SOVEREIGN_SHARED_DATA to its folder")
    return folder


@pytest.fixture
def catalog_path(tmp_path: Path) -> Path:
    """Folder for a market-data catalog of the test's own; it does not exist yet."""
    return tmp_path / "catalog"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of the tests' own (`fakes.postgres_server.PostgresServer`); skips where it cannot run."""
    from fakes.postgres_server import PostgresServer

    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_template(postgres: Any) -> str:
    from sovereign.store.store import Store

    return str(postgres.template("sovereign_template", lambda url: Store(url).close()))


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a store of the test's own, on each kind of database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite"
    template = request.getfixturevalue("_postgres_template")
    return str(request.getfixturevalue("postgres").database(template))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without any table, on each kind of database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite"
    return str(request.getfixturevalue("postgres").database())
