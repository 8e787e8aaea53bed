"""Strategies for rehearsals alone. `settings.add_drill` makes them known by name."""
