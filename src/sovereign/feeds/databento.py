"""Databento's historical service, through its own client (extra `databento`). What arrives is a DBN file, imported as such."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.core.instrument import AssetClass, Instrument
from sovereign.feeds.importing.bytes_of import chunks_of
from sovereign.feeds.vendor import BusyError, DownloadConfiguration, patiently, without_key

SCHEMAS = ("trades", "tbbo", "mbp-1", "mbo", "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabentoQuery:
    """What to ask for. Times are UTC ns, the end not included."""

    dataset: str
    symbol: str
    stype: str
    schema: str
    start_ns: int
    end_ns: int


def query_for(
    instrument: Instrument, schema: str, start_ns: int, end_ns: int, dataset: str | None, rules: DownloadConfiguration
) -> DatabentoQuery:
    """Return the query of an instrument; a futures root asks for the contract that led the volume of the day before.

    Raises
    ------
    UsageError : the schema is not one that can be imported.
    """
    if schema not in SCHEMAS:
        raise UsageError(f"--schema was '{schema}'; allowed are {', '.join(SCHEMAS)}")
    is_future = instrument.asset_class is AssetClass.FUTURE
    is_root = is_future and instrument.symbol == instrument.root
    return DatabentoQuery(
        dataset=dataset or (rules.futures_dataset if is_future else rules.equity_dataset),
        symbol=f"{instrument.symbol}.v.0" if is_root else instrument.symbol,
        stype="continuous" if is_root else "raw_symbol",
        schema=schema,
        start_ns=start_ns,
        end_ns=end_ns,
    )


class DatabentoHistory:
    """The historical service.

    Parameters
    ----------
    key : the account's key; it appears in no message.
    sleep : how to wait between attempts, in seconds.
    """

    def __init__(self, key: str, rules: DownloadConfiguration, sleep: Callable[[float], None]) -> None:
        try:
            import databento
            import databento_dbn
        except ImportError as cause:
            raise UsageError("the package databento was not installed; run pip install 'sovereign[databento]'") from cause
        self._errors: tuple[type[Exception], ...] = (databento.BentoError, databento_dbn.DBNError, OSError, ValueError)
        self._client: Any = databento.Historical(key, gateway=rules.databento_gateway)
        self._key = key
        self._rules = rules
        self._sleep = sleep

    def cost_usd(self, query: DatabentoQuery) -> float:
        """Return the vendor's estimate of what a query costs, in USD."""
        return float(
            self._ask(
                "the cost estimate",
                lambda: self._client.metadata.get_cost(
                    dataset=query.dataset,
                    symbols=query.symbol,
                    schema=query.schema,
                    stype_in=query.stype,
                    start=query.start_ns,
                    end=query.end_ns,
                ),
            )
        )

    def fetch(self, query: DatabentoQuery, path: Path) -> None:
        """Download a query into a file; it appears only when it is whole.

        Raises
        ------
        ConfigurationError : the key was refused.
        UsageError : the vendor refuses the query.
        OperationTimeoutError : it did not come whole in any attempt.
        """
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)

        def once() -> None:
            part.unlink(missing_ok=True)
            self._client.timeseries.get_range(
                dataset=query.dataset,
                symbols=query.symbol,
                schema=query.schema,
                stype_in=query.stype,
                start=query.start_ns,
                end=query.end_ns,
                path=part,
            )
            faults: list[str] = []
            for _ in chunks_of(part, faults):
                pass
            if faults:
                raise BusyError(faults[0])

        try:
            self._ask(f"the download of {query.symbol}", once)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        def once() -> T:
            # The client leaves its file open when a body breaks off; the warning about that is not the user's.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                trouble = None
                try:
                    return call()
                except self._errors as error:
                    trouble = self._judged(what, error)
                    traceback.clear_frames(error.__traceback__)
                raise trouble

        return patiently(once, what, self._rules, self._sleep)

    def _judged(self, what: str, error: Exception) -> Exception:
        """Return what a vendor's error means here."""
        status = getattr(error, "http_status", None)
        said = without_key(" ".join(str(error).split()), self._key)
        if status in {401, 403}:
            return ConfigurationError(f"Databento refused the key ({said}); set DATABENTO_API_KEY to a valid one")
        if status is not None and 400 <= status < 500 and status not in {408, 429}:
            return UsageError(f"Databento refused {what}: {said}")
        wait = (getattr(error, "headers", None) or {}).get("Retry-After", "")
        return BusyError(said, float(wait) if wait.isdigit() else None)
