"""Trying rules before they go live and looking back at what they did: backtest, why, replay."""
