"""The playbook server: keeps the cycle, takes in what W&B says, checks every claim, and writes the report."""
