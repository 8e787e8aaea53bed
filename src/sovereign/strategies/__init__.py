"""One folder per trading system. State in, proposals out."""
