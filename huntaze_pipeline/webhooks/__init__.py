"""Requests that rules send to servers outside: signed, retried, never to an address of our own."""
