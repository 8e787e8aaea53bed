"""Channels from the settings, with their secrets from the documented variables, their files, or the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sovereign.app.notify.channel import Channel
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.secret import read_secret
from sovereign.core.errors import ConfigurationError

WEBHOOK = "DISCORD_WEBHOOK_URL"
TOKEN = "TELEGRAM_BOT_TOKEN"  # noqa: S105 - the name of a variable
CHAT = "TELEGRAM_CHAT_ID"


def secret(name: str, otherwise: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the secret of a variable or its `_FILE`, else the one of the settings; empty when there is none.

    Raises
    ------
    ConfigurationError : the file cannot be read.
    """
    values = os.environ if environment is None else environment
    if values.get(name, "").strip() or values.get(f"{name}_FILE", "").strip():
        return read_secret((name,), values)
    return otherwise.strip()


def telegram_token(config: AlertsConfig, environment: Mapping[str, str] | None = None) -> str:
    """Return the bot's token, or an empty text when there is none or Telegram is off."""
    telegram = config.telegram
    return secret(TOKEN, telegram.bot_token.get_secret_value(), environment) if telegram.enabled else ""


def channels_of(config: AlertsConfig, environment: Mapping[str, str] | None = None) -> list[Channel]:
    """Return the channels that are configured.

    Raises
    ------
    ConfigurationError : a secret has not the shape of one, or Telegram has a token and no chat, or a chat and no token.
    """
    channels: list[Channel] = []
    webhook = secret(WEBHOOK, config.discord.webhook_url.get_secret_value(), environment) if config.discord.enabled else ""
    if webhook:
        from sovereign.app.notify.discord import DiscordChannel

        channels.append(DiscordChannel(config, webhook))
    token = telegram_token(config, environment)
    chat = secret(CHAT, config.telegram.chat_id, environment) if config.telegram.enabled else ""
    if bool(token) != bool(chat):
        missing = f"no chat; set {CHAT} or alerts.telegram.chat_id" if token else f"no token; set {TOKEN}"
        raise ConfigurationError(f"Telegram had {missing}, or switch it off with alerts.telegram.enabled=false")
    if token:
        from sovereign.app.notify.telegram import TelegramChannel

        channels.append(TelegramChannel(config, token, chat))
    return channels
