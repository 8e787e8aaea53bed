"""From a vendor's file to clean columns by trade date.

A file is read into a `RawTable` (`dbn`, `tabular`), cleaned (`clean`), given aggressor sides (`aggressor`) and cut by trade
date (`trade_date`); `importer` is the whole way. Nothing here writes: the store does that.
"""
