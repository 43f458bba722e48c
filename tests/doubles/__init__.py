"""Doubles: real MCP servers with a script behind the tools."""
