"""Étude's agent: turns the loop by calling tools over MCP, and knows nothing else of the world."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("etude")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0+unknown"
