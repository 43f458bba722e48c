"""What `make test-browser` runs: the pages in a real Chromium, looked at as a reader would."""
