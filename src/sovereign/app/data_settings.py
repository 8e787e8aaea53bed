"""The configuration section `data`: the catalog, what counts as a usable row, and downloads."""

from __future__ import annotations

from pydantic import Field

from sovereign.feeds.importing.table import ImportConfiguration
from sovereign.feeds.vendor import DownloadConfiguration
from sovereign.store.catalog_configuration import DataConfiguration


class DataSettings(DataConfiguration):
    """Market data: where it is kept, how it is read, and what counts as a usable row."""

    rules: ImportConfiguration = Field(
        ImportConfiguration(), description="What counts as a usable row when files are imported."
    )
    download: DownloadConfiguration = Field(DownloadConfiguration(), description="Downloads from data vendors.")
