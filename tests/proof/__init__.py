"""Simulations that show how often the judge is fooled; `make proof` runs them."""
