"""Current reports from EDGAR: the list of a company's submissions, then each submission once, kept on disk."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable
from datetime import date, timedelta
from logging import getLogger
from pathlib import Path

from sovereign.core.errors import ConfigurationError, DataError
from sovereign.core.news import Filing, NoData
from sovereign.core.session import from_ns
from sovereign.feeds.news.configuration import NewsSourceConfig
from sovereign.feeds.news.filing import parse_submission
from sovereign.feeds.news.source import STRANGE, Source, SourceDownError, said

NAME = "EDGAR"
_ACCESSION = re.compile(r"\d[\d-]{0,24}")
_LOGGER = getLogger("sovereign.news")


class Edgar:
    """Filings of companies by their central index key.

    Parameters
    ----------
    source : made by `edgar_source`. now_ns : the present, UTC ns.
    """

    def __init__(self, source: Source, config: NewsSourceConfig, now_ns: Callable[[], int]) -> None:
        self._source, self._config, self._now_ns = source, config, now_ns
        self.set_aside: list[str] = []
        """Submissions that could not be read, and why."""

    def filings(self, cik: int, since_ns: int, until_ns: int) -> tuple[Filing, ...] | NoData:
        """Return the current reports accepted at `since_ns < t <= until_ns`, oldest first, or why nothing is known."""
        try:
            body = json.loads(self._source.get(f"{self._config.edgar_data_url}/submissions/CIK{cik:010d}.json"))
            wanted = self._wanted(body["filings"]["recent"], since_ns, until_ns)
            found = [self._submission(cik, accession) for accession in wanted]
        except SourceDownError as fault:
            return NoData(source=NAME, reason=str(fault), ts=self._now_ns())
        except STRANGE as fault:
            return NoData(source=NAME, reason=f"the list of {cik} was not understood ({said(fault)})", ts=self._now_ns())
        kept = [filing for filing in found if filing is not None and filing.known_ns is not None]
        kept = [filing for filing in kept if since_ns < (filing.known_ns or 0) <= until_ns]
        return tuple(sorted(kept, key=lambda filing: filing.known_ns or 0))

    def _wanted(self, recent: dict[str, list[str]], since_ns: int, until_ns: int) -> list[str]:
        # The list's own times are New York's in part of its rows and UTC in others: dates a day wider, then the header decides.
        first, last = from_ns(since_ns).date() - timedelta(days=1), from_ns(until_ns).date() + timedelta(days=1)
        rows = zip(recent["form"], recent["filingDate"], recent["accessionNumber"], strict=True)
        wanted = [
            accession
            for form, filed, accession in rows
            if form in self._config.forms and first <= date.fromisoformat(filed) <= last
        ]
        if wrong := [name for name in wanted if _ACCESSION.fullmatch(name) is None]:
            raise DataError(f"'{wrong[0]}' is no accession number")  # it names a file of ours
        return wanted

    def _submission(self, cik: int, accession: str) -> Filing | None:
        file = self._config.folder / f"{accession}.txt.gz"
        kept = self._kept(file)
        if kept is None:
            plain = accession.replace("-", "")
            url = f"{self._config.edgar_files_url}/Archives/edgar/data/{cik}/{plain}/{accession}.txt"
            content = self._source.get(url, is_asked_once=True)
        else:
            content = kept
        try:
            filing = parse_submission(content.decode("utf-8", errors="replace"))
        except DataError as fault:
            self.set_aside.append(f"{accession}: {fault}")
            return None
        if filing.accession != accession:
            self.set_aside.append(f"{accession}: the submission calls itself {filing.accession[:25]!r}; it is left out")
            return None
        if kept is None:
            self._keep(file, content)
        return filing

    def _kept(self, file: Path) -> bytes | None:
        """Return a submission that was read before; None when it is not there, or cannot be read any more."""
        try:
            return (gzip.decompress(file.read_bytes()) or None) if file.is_file() else None
        except (OSError, EOFError, zlib.error):
            return None

    def _keep(self, file: Path, content: bytes) -> None:
        """Keep a submission for the next time; without room for it, it is asked for again."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(gzip.compress(content, mtime=0))
            part.replace(file)
        except OSError as fault:
            _LOGGER.warning("filing %s was read and could not be kept (%s)", file.name, fault)


def edgar_source(config: NewsSourceConfig, **timing: Callable[..., float | None]) -> Source:
    """Return the source of filings, which says who asks, as the SEC wants it.

    Raises
    ------
    ConfigurationError : the identity has no mail address.
    """
    if "@" not in config.edgar_identity:
        raise ConfigurationError(
            f"news.edgar_identity was '{config.edgar_identity}'; the SEC wants a name and a mail address, for example "
            f"'Jane Doe jane@example.com'"
        )
    headers = {"User-Agent": config.edgar_identity, "Accept-Encoding": "gzip"}
    return Source(NAME, config, config.edgar_per_s, headers, **timing)  # type: ignore[arg-type]
