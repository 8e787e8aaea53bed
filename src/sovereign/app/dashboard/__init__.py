"""The dashboard: a process of its own that reads the store and the recordings, and asks sessions through the store alone."""
