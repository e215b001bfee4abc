"""One file a contender: the same job, each the way its framework wants it done. Each runs in a process of its own."""
