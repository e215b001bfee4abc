"""Topics into ClickHouse."""

import os

# clickhouse-driver makes a table of all dates of 400 years when it is imported, a quarter of a second of every command, and 20 MB; so it makes
# each date when it first meets it. Set before the first import of the driver, hence here and in `journey`.
os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "1")
