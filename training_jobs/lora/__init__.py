"""Low-rank adapters on a language model: training, answering, merging. Needs what `make setup-train` installs."""
