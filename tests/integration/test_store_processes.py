"""Two processes write to one store at the same time, as a batch backtest does."""

import multiprocessing

from example_run import describe, example_events, example_record
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
