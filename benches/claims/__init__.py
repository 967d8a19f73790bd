"""One program per claim: each measures a sentence of the README and prints one line of JSON with its figures."""
