"""asv's benchmarks. The folder is not called `asv`, because asv imports it under its last path component."""
