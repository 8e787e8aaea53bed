"""Changes of the SQL store's tables, one revision a file, run when a store is opened."""
