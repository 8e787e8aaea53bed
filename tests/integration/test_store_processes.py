"""Several processes open and write one store at the same time, as a batch backtest does."""

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from example_run import describe, example_events, example_record
from sovereign.app.notify.spool import Spool
from sovereign.core.errors import ConfigurationError
from sovereign.store.configuration import StoreConfig
from sovereign.store.store import Store


def write_runs(url: str, process: int, count: int) -> None:
    with Store(url) as store:
        for number in range(count):
            name = store.begin_run(example_record(config_hash=f"{process}-{number}"))
            sink = store.sink(name, describe)
            for event in example_events():
                sink(event)
            store.finish_run(name, finished_ns=1, summary={}, daily_sharpe=0.1)


def test_two_processes_when_they_create_and_write_one_store_then_nothing_is_lost(empty_store_url: str) -> None:
    url = empty_store_url
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_runs, args=(url, process, 8)) for process in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with Store(url) as store:
        runs = store.runs()
        assert len({run.id for run in runs}) == 16
        assert {run.status for run in runs} == {"finished"}
        assert store.trials("flow", "da7a").distinct == 16
        assert {len(store.table(run.id, "decisions")) for run in runs} == {13}
        assert {len(store.trades(run.id)) for run in runs} == {4}


def test_file_when_another_is_about_to_write_it_in_the_old_mode_then_opening_waits(tmp_path: Path) -> None:
    # What a process meets that opens a new file just before another has put it into write-ahead mode: SQLite itself refuses.
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE early (value INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="database is locked"):
            Store(StoreConfig(url=f"sqlite:///{path}", busy_timeout_ms=0))
        ended = Timer(0.2, lambda: other.execute("COMMIT"))
        ended.start()
        with Store(f"sqlite:///{path}") as store:
            assert store.runs() == []
        ended.join()


def test_spool_when_another_is_about_to_write_its_file_then_it_is_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE early (value INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        ended = Timer(0.2, lambda: other.execute("COMMIT"))
        ended.start()
        with closing(Spool(path)):
            ended.join()
            assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = 'deliveries'").fetchone() == (1,)
