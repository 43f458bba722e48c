"""Trainings of a tiny model of the real architecture, on the CPU: run by `make test-train`, in .venv-train."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before the libraries that read it: nothing is looked for on the Hub
