"""Tests: `unit`, `property`, `integration`, `faults`, `e2e`, and the oracle they are judged by."""
