"""The pictures in the docs, made from what really ran."""
