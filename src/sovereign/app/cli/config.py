"""`sovereign config show | schema | init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, command_app, emit, settings_from
from sovereign.core.errors import UsageError

app = command_app("Show, describe and create the configuration file.")


@app.command()
def show(
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="Show the settings as they are when this strategy runs.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value and where it came from; secrets are masked."""
    from sovereign.app.configuration.rendering import show_table, shown

    loaded = settings_from(config, overrides, strategy)
    result = {"file": loaded.file, "settings": shown(loaded.settings, loaded.sources)}

    def text(found: dict[str, Any]) -> str:
        return f"# file: {found['file'] or 'none; defaults only'}\n{show_table(found['settings'])}"

    emit(result, as_json, text)


@app.command()
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON schema of the configuration file (JSON with or without --json)."""
    del as_json
    from sovereign.app.configuration import Settings

    emit(Settings.model_json_schema(), True, str)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("sovereign.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a file with every key, its description, unit and default, all switched off."""
    from sovereign.app.configuration import Settings
    from sovereign.app.configuration.rendering import commented_file

    if path.exists() and not force:
        raise UsageError(f"file was '{path}', which exists; give another path, or --force to overwrite it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"file was '{path}'; its folder does not exist, make it first")
    path.write_text(commented_file(Settings()), encoding="utf-8")
    emit({"file": path}, as_json, lambda written: f"wrote {written['file']}")
