"""The one door every order passes: checks, sizing, limits, halts, account tiers."""
