"""The console: a run paced for the eye, and a live picture of it. A reader of the audit stream; it decides nothing."""
