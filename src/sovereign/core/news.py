"""News as values: filings, headlines, posts, and the honest absence of them. Times are UTC ns.

`known_ns` is when anybody could know it: for a filing the moment at which EDGAR accepted it. What a source could not say is
`NoData`, which is neither an empty answer nor a neutral one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A filing at the SEC.

    Parameters
    ----------
    items : item numbers as the form counts them (`2.02`), in order; empty for forms without items.
    known_ns : acceptance by EDGAR; None when the document does not say, and then it may not be used at any time.
    text : of the main document and its EX-99 exhibits, tags removed.
    """

    accession: str
    cik: int
    company: str
    form: str
    items: tuple[str, ...]
    known_ns: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A headline; `known_ns` is the later of its publication and its first sight, which are both kept."""

    source: str
    headline_id: str
    title: str
    published_ns: int
    known_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post of a crowd; `label` is +1 or -1 where its author marked it bullish or bearish, else 0."""

    post_id: int
    author: str
    body: str
    known_ns: int
    label: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """A source that did not answer, or not in a way that can be understood, and why."""

    source: str
    reason: str
    ts: int
