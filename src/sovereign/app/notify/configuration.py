"""The configuration section `alerts`: channels, who gets what, and how floods and silences are avoided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from sovereign.app.notify.alert import Topic
from sovereign.core.configuration import Configuration
from sovereign.core.event import Severity

ChannelName = Literal["discord", "telegram"]

ROUTES: Mapping[Severity, tuple[ChannelName, ...]] = {
    Severity.INFO: ("discord",),
    Severity.WARNING: ("discord", "telegram"),
    Severity.ALARM: ("discord", "telegram"),
    Severity.CRITICAL: ("discord", "telegram"),
}


class DiscordConfig(Configuration):
    """A Discord channel, reached by its webhook."""

    enabled: bool = Field(True, description="Whether alerts go to Discord when a webhook is set; yes or no.")
    webhook_url: SecretStr = Field(
        SecretStr(""),
        description="Webhook of the channel (Discord: channel settings, Integrations); better left to DISCORD_WEBHOOK_URL "
        "or DISCORD_WEBHOOK_URL_FILE, which win.",
    )
    username: str = Field("Sovereign", min_length=1, max_length=80, description="Name that the messages are posted under.")


class TelegramConfig(Configuration):
    """A Telegram bot: alerts to one chat, commands from listed ones."""

    enabled: bool = Field(True, description="Whether alerts go to Telegram when token and chat are set; yes or no.")
    bot_token: SecretStr = Field(
        SecretStr(""),
        description="Token of the bot (from BotFather); better left to TELEGRAM_BOT_TOKEN or TELEGRAM_BOT_TOKEN_FILE, "
        "which win.",
    )
    chat_id: str = Field(
        "", description="Chat that gets the alerts, a number or @channel; TELEGRAM_CHAT_ID (or TELEGRAM_CHAT_ID_FILE) wins."
    )
    base_url: str = Field(
        "https://api.telegram.org", description="Address of the Bot API; another one for a Bot API server of your own."
    )
    command_chats: tuple[int, ...] = Field((), description="Chat ids that may send commands; an empty list takes none.")
    poll_s: int = Field(25, ge=0, le=50, description="How long one question for new messages waits at Telegram, s.")
    confirm_s: float = Field(60, gt=0, le=600, description="How long a one-time code confirms a command, s.")
    command_max_age_s: float = Field(
        120, gt=0, description="Older commands, sent while nobody listened, are not carried out, s; own choice."
    )
    answer_s: float = Field(10, gt=0, le=60, description="How long a command's answer is waited for, s; own choice.")


class AlertsConfig(Configuration):
    """Alerts: who is told what, and how often."""

    folder: Path = Field(
        Path("alerts"), description="Folder of the spools that keep alerts over a restart; relative to the working directory."
    )
    zone: str = Field("America/New_York", description="Time zone of times in alerts outside a session, an IANA name.")
    routes: Mapping[Severity, tuple[ChannelName, ...]] = Field(
        ROUTES, description="Channels by severity; a severity that is not named keeps its default."
    )
    muted: tuple[Topic, ...] = Field((), description="Topics whose alerts below ALARM are only listed, not sent.")
    quiet_from: time | None = Field(None, description='Start of the quiet hours in `zone`, HH:MM; "none" for none.')
    quiet_until: time | None = Field(None, description='End of the quiet hours in `zone`, HH:MM; "none" for none.')
    quiet_below: Severity = Field(Severity.ALARM, description="Alerts below this severity wait for the end of the quiet hours.")
    queue_size: int = Field(4_096, ge=16, description="Events that may wait to become alerts; beyond, the least severe go.")
    repeat_after_s: float = Field(
        60,
        gt=0,
        description="Repeats of a matter are counted, not sent, this long; then twice as long each time, s; own choice.",
    )
    repeat_max_s: float = Field(3_600, gt=0, description="Longest such wait, s; own choice.")
    forget_after_s: float = Field(
        86_400, gt=0, description="A matter that has been silent this long begins anew, s; own choice."
    )
    max_per_minute: int = Field(
        20,
        ge=1,
        description="Alerts sent in a minute, those below ALARM and the others apart; what is beyond is summed up in one. "
        "Discord takes 30 a minute of a webhook, Telegram 20 of a group.",
    )
    stale_after_s: float = Field(
        900, gt=0, description="Undelivered alerts below ALARM are dropped after this, the others never, s; own choice."
    )
    keep: int = Field(2_000, ge=100, description="Alerts kept for `alerts list`, count.")
    timeout_s: float = Field(10, gt=0, le=120, description="Wait for a channel's connection, and for its answer, s.")
    backoff_s: float = Field(
        1, gt=0, description="First wait after a failed delivery, doubled each time, half of it random, s."
    )
    backoff_max_s: float = Field(60, gt=0, description="Longest such wait, s.")
    retry_after_min_s: float = Field(0.1, gt=0, description="Shortest wait that a channel's rate limit is taken for, s.")
    retry_after_max_s: float = Field(60, gt=0, description="Longest wait that a channel's rate limit is taken for, s.")
    flush_s: float = Field(5, ge=0, description="Time given to waiting alerts when the platform stops, s.")
    max_outside_text: int = Field(
        500, ge=40, le=1_500, description="Longest text taken over from outside (a broker's reason), characters."
    )
    discord: DiscordConfig = Field(DiscordConfig(), description="A Discord channel.")
    telegram: TelegramConfig = Field(TelegramConfig(), description="A Telegram bot.")

    @field_validator("routes", mode="after")
    @classmethod
    def _whole(cls, given: Mapping[Severity, tuple[ChannelName, ...]]) -> Mapping[Severity, tuple[ChannelName, ...]]:
        return {**ROUTES, **given}

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as cause:
            raise ValueError(f"zone was '{zone}'; write an IANA name, for example America/New_York") from cause
        return zone

    @field_validator("quiet_from", "quiet_until", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if isinstance(value, str) and value.lower() == "none" else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet_from and quiet_until belong together; set both, or neither")
        for low, high in (
            ("repeat_after_s", "repeat_max_s"),
            ("backoff_s", "backoff_max_s"),
            ("retry_after_min_s", "retry_after_max_s"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} was {getattr(self, low)}, above {high} {getattr(self, high)}; allowed is at most that")
        return self
