"""Leaving out a part of the tug of war changes what is traded, a signal as well as a rule."""

from __future__ import annotations

from dataclasses import replace

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.research.ablation import WHOLE, compare_variants, variants_of
from sovereign.research.portfolio import GivenSessions
from tug_cases import config_of, market


def test_variants_when_a_signal_is_left_out_then_the_account_is_another_and_warm_up_is_not_traded():
    loaded = load_settings(environment={}, strategy="tug_of_war").settings
    plain = recipe_of(loaded, "tug_of_war")
    config = config_of(conflict={"min_opposed": 0.2, "min_alone": 0.2}, entry={"order": "market"})
    recipe = replace(plain, strategy_config=config, risk=plain.risk.no_fresher_than(2_000))
    days = market(1, 48)
    earlier, traded = (GivenSessions([s for s, _ in part], [t for _, t in part]) for part in (days[:42], days[42:]))
    variants = variants_of("tug_of_war", config, ("momentum", "regime"))
    found = {one.name: one for one in compare_variants(recipe, traded, variants, loaded.metrics, warm_up=earlier)}
    assert list(found) == [WHOLE, "without momentum", "without regime"]
    assert all(one.days == 6 for one in found.values())
    assert sum(one.trades for one in found.values()) > 0
    assert found["without momentum"].daily != found[WHOLE].daily or found["without regime"].daily != found[WHOLE].daily
