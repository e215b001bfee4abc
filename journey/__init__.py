"""The command line, its settings, and the embedded stack."""

import sinks  # noqa: F401  it sets up clickhouse-driver, which must not be imported before
