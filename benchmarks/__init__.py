"""How fast it is, beside what a site would use instead; none of it is a test. What the figures say: README.md."""
