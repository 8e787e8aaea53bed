"""`sovereign data import | list | verify | download`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, command_app, emit, settings_from
from sovereign.core.errors import UsageError, suggestion

if TYPE_CHECKING:
    from sovereign.app.data_settings import DataSettings
    from sovereign.app.market_data import FileReport, WrittenPart
    from sovereign.store.catalog import Catalog

app = command_app("Import, simulate, list, verify and download market data.")

CatalogOption = Annotated[
    Path | None, typer.Option("--catalog", help="Folder of the catalog; default: the setting data.catalog.")
]
_MOST_DATES = 10
"""Trade dates of a symbol that an import tells one by one; more of them are one line (`data list --days` has each)."""
_VENDORS = ("alpaca", "databento", "massive")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="DBN, CSV or Parquet files, plain or compressed.")],
    symbol: Annotated[str | None, typer.Option(help="Symbol; default: from the file, else from its name.")] = None,
    kind: Annotated[str | None, typer.Option(help="trades, quotes or bars-SECONDS; default: guessed.")] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=NAME", help="What a column of the file is (price, size, side, ts, ...); repeat it."
        ),
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of times that carry none, for example America/New_York.")] = "UTC",
    stamp: Annotated[str, typer.Option(help="Which end of a bar its time names: open or close.")] = "open",
    aggressor: Annotated[str, typer.Option(help="Aggressor side: auto, given, quote or tick.")] = "auto",
    quotes: Annotated[Path | None, typer.Option(help="File with the best quotes of the same symbol.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace rows of another source for the same time.")] = False,
    catalog: CatalogOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import files into the catalog; rows that cannot be used are set aside with the reason, and counted."""
    from sovereign.app.cli.progress import steps_bar
    from sovereign.app.market_data import import_files
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.importing.table import AggressorRule, BarStamp, ImportOptions

    settings, store = _open(config, overrides, catalog)
    options = ImportOptions(
        symbol=symbol,
        kind=kind,
        columns=_mapping(mapping or []),
        zone=zone,
        stamp=BarStamp(_one_of("--stamp", stamp, [s.value for s in BarStamp])),
        aggressor=AggressorRule(_one_of("--aggressor", aggressor, [r.value for r in AggressorRule])),
        quotes=quotes,
        rules=settings.rules,
    )
    with steps_bar(as_json) as step:
        reports = import_files(store, files, options, calendar_for, replace=replace, on_step=step)
    _finish(reports, store, as_json)


@app.command("list")
def list_(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol, or the contracts of this futures root.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    days: Annotated[bool, typer.Option("--days", help="One line for each trade date.")] = False,
    catalog: CatalogOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the catalog holds."""
    from sovereign.core.instrument import contract_root
    from sovereign.store.catalog import by_symbol

    _, store = _open(config, overrides, catalog)
    entries = [
        e
        for e in store.entries()
        if (kind is None or e.kind == kind) and (symbol is None or symbol in {e.symbol, contract_root(e.symbol)})
    ]
    result = {
        "catalog": store.path,
        "symbols": [
            {
                "kind": name[0],
                "venue": name[1],
                "symbol": name[2],
                "dates": len(group),
                "first": group[0].trade_date,
                "last": group[-1].trade_date,
                "rows": sum(e.rows for e in group),
                "quarantined": sum(e.provenance.quarantined for e in group),
                "is_simulated": any(e.provenance.is_simulated for e in group),
                "aggressor": sorted({e.provenance.aggressor for e in group}),
            }
            for name, group in by_symbol(entries).items()
        ],
        "partitions": [e.model_dump(mode="json") for e in entries] if days or as_json else [],
    }
    emit(result, as_json, _list_text)


@app.command()
def verify(
    catalog: CatalogOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every partition (hash, columns, rows, order, ranges) without changing anything; exit code 1 on a finding."""
    _, store = _open(config, overrides, catalog)
    findings = store.verify()
    result = {"catalog": store.path, "partitions": len(store.entries()), "findings": findings}

    def text(found: dict[str, Any]) -> str:
        lines = [f"{f.path}: {f.check}: {f.message}" for f in findings]
        verdict = f"{len(findings)} findings" if findings else "all whole"
        return "\n".join([*lines, f"{found['partitions']} partitions in {found['catalog']}: {verdict}"])

    emit(result, as_json, text)
    if findings:
        raise typer.Exit(1)


@app.command()
def download(
    vendor: Annotated[str, typer.Argument(help="alpaca, databento or massive.")],
    symbol: Annotated[str, typer.Option(help="Symbol, for example ESH4 or SPY.")],
    start: Annotated[str, typer.Option("--from", help="First date, YYYY-MM-DD.")],
    end: Annotated[str, typer.Option("--to", help="Last date (included), YYYY-MM-DD.")],
    schema: Annotated[
        str | None,
        typer.Option(help="databento: trades, tbbo, mbp-1, mbo, ohlcv-1m; massive: bars-60; alpaca: trades, quotes, bars-60."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="databento only; default: GLBX.MDP3 for futures.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="USD; nothing is downloaded above it.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would cost.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace rows of another source for the same time.")] = False,
    catalog: CatalogOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download history from a vendor into the catalog, through the same checks as a file."""
    from sovereign.app.download import DownloadRequest, download_history
    from sovereign.core.session import parse_date
    from sovereign.feeds.calendar import calendar_for

    settings, store = _open(config, overrides, catalog)
    alpaca = settings_from(config, overrides).settings.alpaca
    request = DownloadRequest(
        vendor=_one_of("vendor", vendor, _VENDORS),
        symbol=symbol,
        start=parse_date(start),
        end=parse_date(end),
        schema=schema,
        dataset=dataset,
        max_cost_usd=max_cost,
    )
    outcome = download_history(store, request, settings, calendar_for, is_estimate=estimate, replace=replace, alpaca=alpaca)
    if outcome.report is None:
        emit({"cost_usd": outcome.cost_usd, "report": None}, as_json, lambda _: _cost_text(outcome.cost_usd))
        return
    _finish([outcome.report], store, as_json, cost_usd=outcome.cost_usd)


def _open(config: Path | None, overrides: list[str] | None, catalog: Path | None) -> tuple[DataSettings, Catalog]:
    from sovereign.store.catalog import Catalog

    settings = settings_from(config, overrides).settings.data
    return settings, Catalog(catalog or settings.catalog, arrow_cache=settings.arrow_cache)


def _mapping(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        column, found, name = pair.rpartition("=")
        if not found or not column or not name:
            raise UsageError(f"--map was '{pair}'; write COLUMN=NAME, for example --map LastPx=price")
        columns[name] = column
    return columns


def _one_of(option: str, given: str, allowed: list[str] | tuple[str, ...]) -> str:
    if given not in allowed:
        raise UsageError(f"{option} was '{given}'{suggestion(given, allowed)}; allowed are {', '.join(allowed)}")
    return given


def _finish(reports: list[FileReport], store: Catalog, as_json: bool, cost_usd: float | None = None) -> None:
    code = next((r.exit_code for r in reports if r.exit_code), 0)
    result = {
        "catalog": store.path,
        "cost_usd": cost_usd,
        "rows": sum(r.rows for r in reports),
        "quarantined": sum(r.quarantined for r in reports),
        "is_partial": any(r.status == "partial" for r in reports),
        "files": [asdict(r) for r in reports],
    }

    def text(_: dict[str, Any]) -> str:
        blocks = [_file_text(r, store) for r in reports]
        return "\n".join([*([_cost_text(cost_usd)] if cost_usd is not None else []), *blocks])

    emit(result, as_json, text)
    if code:
        raise typer.Exit(code)


def _cost_text(cost_usd: float | None) -> str:
    return "cost: included in the plan" if cost_usd is None else f"cost: {cost_usd:.2f} USD, as the vendor estimates it"


def _file_text(report: FileReport, store: Catalog) -> str:
    if report.error is not None:
        return f"{report.file}: FAILED: {report.error}"
    if report.status == "already there":
        return f"{report.file}: already there ({report.rows:,} rows); nothing to do"
    lines = [f"{report.file}: {report.status}, {report.rows:,} rows in {len(report.partitions)} partitions"]
    lines += [f"  guessed {name}: {value}" for name, value in report.guesses.items()]
    lines += [f"  note: {note}" for note in report.notes]
    groups: dict[tuple[str, str], list[WrittenPart]] = {}
    for part in report.partitions:
        groups.setdefault((part.kind, part.symbol), []).append(part)
    for parts in groups.values():
        lines += [_parts_text(parts)] if len(parts) > _MOST_DATES else [_parts_text([part]) for part in parts]
    if report.quarantined:
        lines.append(f"  set aside: {report.quarantined:,} rows, listed in {store.path / str(report.quarantine_file)}")
        lines += [f"    {count:,} x {reason}" for reason, count in list(report.reasons.items())[:8]]
    lines += [f"  NOT WHOLE: {fault}" for fault in report.faults]
    return "\n".join(lines)


def _parts_text(parts: Sequence[WrittenPart]) -> str:
    """Return a line on a symbol's partitions of one kind, in the order of their dates."""
    first, last = parts[0], parts[-1]
    when = f"{first.trade_date}" if len(parts) == 1 else f"{len(parts):,} dates, {first.trade_date} to {last.trade_date}"
    line = f"  {first.kind} {first.symbol} {when}: {sum(part.rows for part in parts):,} rows"
    if first.kind == "trades":
        sides = [sum(getattr(part, name) for part in parts) for name in ("buyers", "sellers", "without_side")]
        how = ", ".join(dict.fromkeys(part.aggressor for part in parts))
        line += f" ({sides[0]:,} buy, {sides[1]:,} sell, {sides[2]:,} none; {how})"
    extras = {"rounded": "rounded", "sorted": "unordered", "without quote": "unquoted"}
    counts = {word: sum(getattr(part, name) for part in parts) for word, name in extras.items()}
    return line + "".join(f", {count:,} {word}" for word, count in counts.items() if count)


def _list_text(found: dict[str, Any]) -> str:
    if not found["symbols"]:
        return f"{found['catalog']}: nothing yet; import a file with 'sovereign data import FILE'"
    lines = []
    for row in found["symbols"]:
        label = " SIMULATED" if row["is_simulated"] else ""
        aside = f", {row['quarantined']:,} set aside" if row["quarantined"] else ""
        lines.append(
            f"{row['kind']} {row['symbol']} ({row['venue']}){label}: {row['dates']} dates {row['first']} to {row['last']}, "
            f"{row['rows']:,} rows{aside}; aggressor: {', '.join(row['aggressor'])}"
        )
    lines += [f"  {e['kind']} {e['symbol']} {e['trade_date']}: {e['rows']:,} rows" for e in found["partitions"]]
    return "\n".join(lines)
