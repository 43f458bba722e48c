"""The pictures of the README and the docs, made from real runs: python -m tests.pictures report, or terminal."""
