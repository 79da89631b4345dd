"""Trying rules before they are live, and looking back: test, plan, backtest, why, replay."""
