"""The house rules as tests, and the generators of the files that are not written by hand."""
