"""News as values: filings, headlines, posts, and the honest absence of them. Times are UTC ns.

`known_ns` is when anybody could know it: for a filing the moment at which EDGAR accepted it. What a source could not say is
`NoData`, which is neither an empty answer nor a neutral one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseCluster:
    """Distinct posts that share a phrase."""

    phrase: str
    post_ids: tuple[int, ...]
    authors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsReading:
    """What was known of a symbol at `ts`, with the evidence.

    Parameters
    ----------
    probability : that what is posted is real; NaN when a source that decides it is down.
    terms : log-odds by name, whose sum gives the probability.
    tone : weighted mean of the known tones in [-1, 1]; NaN when none is known. Posts count when they are accepted.
    filing_tone, headline_tone, post_tone : NaN for a source that is down or silent.
    missing : sources that are down, with their reasons.
    """

    symbol: str
    ts: int
    probability: float
    is_accepted: bool
    terms: Mapping[str, float]
    clusters: tuple[PhraseCluster, ...]
    posts: int
    authors: int
    filings: tuple[str, ...]
    items: tuple[str, ...]
    headlines: int
    tone: float
    filing_tone: float
    headline_tone: float
    post_tone: float
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether the probability could be formed."""
        return not math.isnan(self.probability)
