"""Other people's implementations of the same networks. Importing this imports no framework."""
