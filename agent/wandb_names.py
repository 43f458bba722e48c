"""The tools of the W&B MCP server that a run uses, by name."""

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"
READS = (RUNS, COUNTS, TRACES)
"""What a cycle needs, to read back."""
REPORT = "create_wandb_report_tool"
USED = (*READS, REPORT)
