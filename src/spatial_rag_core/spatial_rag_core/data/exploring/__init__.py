"""Ways to explore the rooms."""
