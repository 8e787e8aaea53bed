"""Sources of news: filings from EDGAR, headlines from Yahoo, posts from StockTwits. One that is down says so, and no more."""
