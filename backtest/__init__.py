"""Rules tried on history: the pure core over a set of records, in one process; it writes nothing."""
