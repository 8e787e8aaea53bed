"""The shadow twin: a recorded session run again as a backtest, and every difference given its cause."""
