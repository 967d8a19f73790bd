"""One program per claim: it measures a claim of the README and prints its figures as one line of JSON."""
