"""What users run: command line, configuration, console."""
