"""Trainings of a tiny model of the real architecture, on the CPU: run by `make test-train`, in .venv-train."""
