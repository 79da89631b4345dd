"""Metrics, alarms, dashboard and health: what an operator looks at."""
