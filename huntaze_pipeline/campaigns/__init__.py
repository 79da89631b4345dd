"""Campaigns, templates, schedules and assignment to variants. Delivery takes over from there."""
