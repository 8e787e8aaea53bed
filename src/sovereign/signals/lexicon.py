"""Words with a tone. A list of our own, chosen for filings, headlines and posts about companies, and lists of the user by path.

Our words were chosen by hand from general financial English; none comes from another list. Whole words count, never parts of
words ("sell" is not in "counsellor"). Words that are tone in one text and a matter of course in another (cost, debt, tax,
share, risk, liability) are left out.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sovereign.core.errors import DataError, NotFoundError

_POSITIVE_WORDS = """
accelerate accelerated accelerating accretive achieve achieved achievement advancing approval approved attractive beat
beating beats benefit benefited best boost boosted boosting breakthrough bull bullish buyback confident delighted
delivered earned enhance enhanced exceed exceeded exceeding exceeds excellent exceptional expand expanded expansion
favorable gain gained gains great grew growing growth improve improved improvement improvements improving innovative
leading momentum moon opportunities opportunity outpace outperform outperformed outperforms pleased positive profit
profitability profitable progress raise raised raising rallied rally rebound rebounded record resilient reward
rewarding rise rises rising robust rocket soar soared solid strength strengthen strengthened strong stronger strongest
succeed success successful successfully surge surged surpass surpassed tailwind tailwinds undervalued upbeat upgrade
upgraded upside upward win winner winning wins
"""
POSITIVE = frozenset(_POSITIVE_WORDS.split())
_NEGATIVE_WORDS = """
abandon abandoned adverse adversely allegation allegations bankrupt bankruptcy bearish breach breached bubble cancel
canceled challenging collapse collapsed concern concerned concerns crash crashed crashing cuts cutting decline
declined declines declining decrease decreased default defaulted deficiency deficit delay delayed delays delist
delisted delisting deteriorate deteriorated deterioration difficult disappoint disappointed disappointing discontinue
discontinued dispute disruption disruptions downgrade downgraded downside downturn drop dropped dump dumping fail
failed failing fails failure fall fallen falling falls fear fears fell fined fraud fraudulent halt halted headwind
headwinds impairment impairments inadequate indictment insolvency insolvent investigation investigations lawsuit
lawsuits layoff layoffs lose loses losing loss losses lowered misconduct miss missed misses misstatement negative
negatively overvalued penalties penalty plunge plunged poor probe recall recalled recession reject rejected restate
restated restatement scam scandal selloff severe short shortage shortfall shutdown sink slow slowdown slower slump
slumped sue sued suspend suspended suspension terminate terminated termination tumble tumbled uncertain uncertainty
underperform underperformed unfavorable violate violated violation violations warn warned warning warnings weak weaken
weakened weaker weakness worse worsen worst writedown
"""
NEGATIVE = frozenset(_NEGATIVE_WORDS.split())


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words by tone, in lower case; `name` says whose."""

    name: str
    positive: frozenset[str]
    negative: frozenset[str]


OWN = Lexicon("own", POSITIVE, NEGATIVE)


def read_lexicon(path: Path) -> Lexicon:
    """Return the user's list: a CSV with the columns `Word`, `Positive`, `Negative`, as the Loughran-McDonald dictionary has.

    A word belongs to a tone when its column is above zero (the year in which it was added); below zero it was taken off.

    Raises
    ------
    NotFoundError : the file is not there. DataError : it is none, or no text, a column is missing, or no word has a tone.
    """
    if path.exists() and not path.is_file():  # a device may never end
        raise DataError(f"lexicon was '{path}', which is no file; give the path of a list, or none")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = {name.strip().lower(): name for name in reader.fieldnames or ()}
            if missing := [name for name in ("word", "positive", "negative") if name not in names]:
                raise DataError(f"{path} had no column {', '.join(missing)}; it needs Word, Positive and Negative")
            tones: Mapping[str, set[str]] = {"positive": set(), "negative": set()}
            for row in reader:
                word = (row[names["word"]] or "").strip().lower()
                for tone, words in tones.items():
                    if word and _number(row[names[tone]]) > 0:
                        words.add(word)
    except FileNotFoundError as cause:
        raise NotFoundError(f"lexicon was '{path}', which is not there; give the path of a list, or none") from cause
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{path} could not be read as CSV ({cause}); it needs Word, Positive and Negative, in UTF-8") from cause
    if not tones["positive"] and not tones["negative"]:
        raise DataError(f"{path} had no word with a tone; check the columns Positive and Negative")
    return Lexicon(path.name, frozenset(tones["positive"]), frozenset(tones["negative"]))


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
