"""One question each: a function from loaded runs to a page of figures and tables."""
