"""The tone of a text by a list of words: whole words, a negation before a positive word turned around, few words damped.

The tone is (positive - negative) / (positive + negative + prior): a text with one word of tone is not as sure as one of fifty.
Negation is looked for before positive words alone, as negative words are hardly ever negated to mean something good (Loughran
and McDonald 2011, Journal of Finance 66, section II).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sovereign.signals.lexicon import OWN, Lexicon

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NEGATIONS = frozenset({"no", "not", "none", "neither", "never", "nobody", "without", "cannot"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """What was counted, and the tone in [-1, 1]; NaN for a text without any word of tone, which says nothing."""

    value: float
    positive: int
    negative: int
    words: int


def tone_of(text: str, lexicon: Lexicon = OWN, *, prior_words: float = 4.0, negation_words: int = 3) -> Tone:
    """Return the tone of a text.

    Parameters
    ----------
    prior_words : words without tone that are added, so that few words weigh little.
    negation_words : a negation this many words before a positive word makes it a negative one.
    """
    words = _WORD.findall(text.lower().replace("’", "'"))
    positive = negative = 0
    last_negation = -negation_words - 1
    for place, word in enumerate(words):
        if word in _NEGATIONS or word.endswith("n't"):
            last_negation = place
        elif word in lexicon.positive:
            is_negated = place - last_negation <= negation_words
            positive += not is_negated
            negative += is_negated
        elif word in lexicon.negative:
            negative += 1
    counted = positive + negative
    value = (positive - negative) / (counted + prior_words) if counted else math.nan
    return Tone(value=value, positive=positive, negative=negative, words=len(words))
