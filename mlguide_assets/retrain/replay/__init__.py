"""Replay: days of operation against the simulator, with planted events, and what the system made of them."""
