"""What the documentation tells people to type, and where its links lead."""
