"""Trying rules before they are live, and looking back at what they did: test, plan, backtest, why."""
