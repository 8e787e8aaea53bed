"""Configuration: one TOML file, validated; a flag beats the environment, the environment the file, the file the default."""

from __future__ import annotations

from sovereign.app.configuration.loading import LoadedSettings, find_file, load_settings
from sovereign.app.configuration.settings import AccountConfig, ReportConfig, Settings

__all__ = ["AccountConfig", "LoadedSettings", "ReportConfig", "Settings", "find_file", "load_settings"]
