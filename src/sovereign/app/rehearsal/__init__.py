"""Rehearsals of everything that can go wrong: sessions that are killed, and sessions whose venue and wire misbehave."""
