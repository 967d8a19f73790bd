"""Third-party implementations of the same networks. Importing this package imports no framework."""
