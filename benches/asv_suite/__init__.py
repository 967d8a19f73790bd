"""Benchmarks for asv. The folder is not called `asv`, because asv imports it under the last component of its path."""
