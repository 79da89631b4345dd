"""Alembic migrations. Each is a step that lands once and is never edited afterwards."""
