"""Effects of the settings of the probability of overfitting, seen on trials whose daily returns are given."""

from dataclasses import replace

import numpy as np

from example_run import example_run
from key_effects import effect
from sovereign.research.configuration import EvidenceConfig, MetricsConfig
from sovereign.research.evidence_card import build_card
from sovereign.research.metrics import compute_metrics
from sovereign.research.reliability import reliability


def run_with_trials():
    rng = np.random.default_rng(4)
    noise = rng.normal(0.0, 0.01, (40, 6))
    trials = tuple({f"2025-01-{day:02d}": float(row[n]) for day, row in enumerate(noise, start=1)} for n in range(6))
    return replace(example_run(), trial_returns=trials, trials=6)


@effect("metrics.overfitting_blocks")
def _():
    run = run_with_trials()
    return tuple(compute_metrics(run, MetricsConfig(overfitting_blocks=blocks))["overfitting"].value for blocks in (4, 16))


@effect("evidence.max_overfitting")
def _():
    run = run_with_trials()
    return tuple(build_card(run, config=EvidenceConfig(max_overfitting=limit)).to_plain() for limit in (0.5, 0.1))


@effect("metrics.reliability_bins")
def _():
    values = np.linspace(0.0, 1.0, 200)
    found = [
        reliability("sure", "came", values, values > 0.4, np.arange(200), MetricsConfig(reliability_bins=bins))
        for bins in (10, 4)
    ]
    return tuple(one.to_plain() for one in found if one is not None)
