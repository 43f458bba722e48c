"""The pages that are made from the code, so that they cannot be behind it: `make reference`."""
