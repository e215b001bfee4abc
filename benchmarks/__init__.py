"""Measures the stateful job in our agent and in what one would use instead, and what the whole pipeline does: `python -m benchmarks`."""
