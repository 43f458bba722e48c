"""Étude's agent: turns the loop by calling tools over MCP, and knows nothing else of the world."""

VERSION = "0.1.0"
