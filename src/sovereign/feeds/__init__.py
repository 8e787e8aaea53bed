"""What comes in: historical files, vendors' downloads, calendars, the synthetic market."""
