"""The DuckLake and the SQL models built in it. Operational state lives in the store."""
