"""The pictures of the report, each one SVG element with a title and a description; colours come from the page."""
