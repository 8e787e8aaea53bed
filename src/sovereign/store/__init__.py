"""What is kept: the Parquet catalog and the SQL store."""
