"""Changes over many nights: of asv results, of pytest-benchmark files, of run files."""
