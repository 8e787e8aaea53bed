"""`sovereign stress RUN`: how easily the result of a finished run breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, emit, settings_from

if TYPE_CHECKING:
    from sovereign.research.stress import StressResult


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, a prefix that only it has, or 'last'.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stress a finished run: slippage, time of day, weekday, and Monte Carlo shuffles of its trades."""
    from sovereign.app.plan import now_ns, rerun_of
    from sovereign.research.ledger import stress_stored
    from sovereign.store.store import Store

    settings = settings_from(config, overrides).settings
    with Store(settings.store) as store:
        record, found, result = stress_stored(store, run, now_ns=now_ns(), config=settings.stress, rerun_of=rerun_of)
    plain = {"run": found.id, "record": record, **result.to_plain()}
    emit(plain, as_json, lambda _: _text(found.id, result))


def _text(run: str, result: StressResult) -> str:
    from sovereign.app.cli.runs import columns
    from sovereign.research.page import show

    verdict = "passed" if result.passed else "FAILED"
    lines = [
        f"{run}: {verdict}, {sum(test.passed for test in result.tests)} of {len(result.tests)} tests",
        f"  {result.trades} trades, net {result.net} USD, account {result.account} USD, {result.shuffles:,} shuffles, "
        f"seed {result.seed}",
        "",
    ]
    rows = [
        (
            "passed" if test.passed else "FAILED",
            test.name,
            show(test.statistic, test.unit),
            show(test.limit, test.unit),
            test.detail,
        )
        for test in result.tests
    ]
    lines.append(columns(("result", "test", "figure", "limit", "meaning"), rows, frozenset({2, 3})))
    for title, groups in (("hour (exchange)", result.hours), ("weekday", result.weekdays)):
        table = [(g.key, str(g.trades), f"{g.win_rate:.0%}", f"{g.mean:,.2f}", f"{g.net:,.2f}") for g in groups]
        lines += ["", columns((title, "trades", "won", "mean, USD", "net, USD"), table, frozenset({1, 2, 3, 4}))]
    spreads: tuple[tuple[str, dict[str, Any]], ...] = (
        ("maximum drawdown", result.drawdown),
        ("final profit", result.final_profit),
        ("losing streak", result.losing_streak),
    )
    spread = [(name, *(f"{value:,.0f}" for value in quantiles.values())) for name, quantiles in spreads]
    lines += ["", columns(("Monte Carlo, USD", *result.drawdown), spread, frozenset(range(1, 1 + len(result.drawdown))))]
    return "\n".join(lines)
