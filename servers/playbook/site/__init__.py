"""The site over all cycles of an artifacts folder: pages made from disk when they are asked for, or written as files.

`etude report --serve` shows it on this machine, `etude report --site DIR` writes it. Nothing here changes anything, and
nothing of a sealed row is on any page but how many there are.
"""
