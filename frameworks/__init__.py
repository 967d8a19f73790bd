"""The subjects: what is measured. Importing this package imports no framework."""
