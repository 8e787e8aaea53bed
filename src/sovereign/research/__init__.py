"""Evidence, stress, metrics, reports, runs."""
