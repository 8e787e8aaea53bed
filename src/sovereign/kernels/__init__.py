"""Compiled functions on columns: arrays in, arrays out, no globals, no I/O. Import a kernel module only where it runs."""
