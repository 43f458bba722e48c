"""What takes the local tracker's records to W&B, in a process of its own."""
