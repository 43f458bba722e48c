"""What `make conformance` runs: the MCP conformance suite from npm against every server of `etude serve all --http`."""
