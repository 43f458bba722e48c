"""`etude client-config`: what a chat client needs to reach Étude's servers and the W&B MCP server."""
