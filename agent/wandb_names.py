"""The tools of the W&B MCP server that a cycle needs, by name."""

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"
READS = (RUNS, COUNTS, TRACES)
