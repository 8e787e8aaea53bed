"""Random schedules of faults between the platform and its channels: nothing that matters is lost, and nothing floods.

`SOVEREIGN_ALERT_SCHEDULES` sets how many; each is a seed, and a seed that fails is a test.
"""

import os
import random

import pytest

from alert_cases import NOON, ZONE, alert, alerts_config, until
from fakes.discord_server import DiscordServer, limited, shown
from fakes.telegram_server import TOKEN, TelegramServer, flooded
from fakes.web_server import Fault
from sovereign.app.notify.discord import DiscordChannel
from sovereign.app.notify.reader import AlertReader
from sovereign.app.notify.router import AlertRouter
from sovereign.app.notify.telegram import TelegramChannel
from sovereign.core.event import Severity

SCHEDULES = int(os.environ.get("SOVEREIGN_ALERT_SCHEDULES", "12"))
CAP = 15


def fault_of(dice):
    return dice.choice(
        [
            None,
            None,
            limited(0.03),
            limited(0.03, has_header=False),
            limited(0.03, unit=1_000),
            flooded(0.03),
            Fault(status=500),
            Fault(status=503, body=b"<html>"),
            Fault(reset=True),
            Fault(reset=True, is_kept=True),
            Fault(slow_s=0.3, is_kept=True),
            Fault(status=200, body=b"not json"),
            Fault(status=404),
        ]
    )


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_alerts_when_channels_fail_and_the_process_restarts_then_nothing_serious_is_lost_and_nothing_floods(seed, tmp_path):
    dice = random.Random(seed)
    with DiscordServer() as discord, TelegramServer() as telegram:
        config = alerts_config(
            tmp_path, timeout_s=0.15, backoff_max_s=0.05, max_per_minute=CAP, telegram={"base_url": telegram.address}
        )

        def router():
            channels = [DiscordChannel(config, discord.webhook), TelegramChannel(config, TOKEN, "42")]
            return AlertRouter(config, AlertReader(ZONE, 200), channels, dice=dice.random).start()

        serious, small, restarts = [], [], 0
        running = router()
        for number in range(60):
            severity = dice.choice(list(Severity))
            title = f"Kind {number}." if dice.random() < 0.3 else f"Often {dice.randrange(4)}."
            running.post(alert(f"{title}{severity}", NOON + number, severity, title=title))
            (serious if severity in (Severity.ALARM, Severity.CRITICAL) else small).append(title)
            for server in (discord, telegram):
                if dice.random() < 0.3:
                    server.faults.append(fault_of(dice))
            event = dice.random()
            if event < 0.04:
                running.close(dice.choice([0.0, 0.05]))
                until(lambda router=running: not router._queue, 60)
                running, restarts = router(), restarts + 1
            elif event < 0.08:
                server = dice.choice([discord, telegram])
                server.stop()
                server.restart()
        for server in (discord, telegram):
            server.faults.clear()
        assert running.close(20)
        # What is over the measure waits to be summed up, on record.
        left = AlertRouter(config, AlertReader(ZONE, 200), [])
        summed = {told.title for told in left.spool.suppressed(is_serious=True)}
        left.spool.close()
        for words in (
            "\n".join(shown(f"{embed['title']} {embed['description']}") for embed in discord.embeds),
            "\n".join(telegram.texts(42)),
        ):
            assert {title for title in serious if title not in words} <= summed
        # No flood: what a minute may hold for each lane (a restart begins a new measure), doubtful repeats apart.
        firm = [embed for embed in discord.embeds if "may have arrived" not in embed["footer"]["text"]]
        assert len(firm) <= 2 * CAP * (1 + restarts)
        assert len({embed["footer"]["text"] for embed in firm}) == len(firm)  # nothing twice that was not said to be
