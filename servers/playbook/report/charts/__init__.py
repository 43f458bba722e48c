"""Pictures by Vega-Lite: each a function from figures to a `Picture`, with its words and its figures as a table."""
