"""PostgreSQL, the truth: tables, migrations, sessions and the walls between tenants."""
