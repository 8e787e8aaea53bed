"""The loop: slices, lanes, audit stream, and the recipes of the modes."""
