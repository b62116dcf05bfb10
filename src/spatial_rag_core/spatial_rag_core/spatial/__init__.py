"""Space: the map frame on the globe, and the H3 cells that cover a region of it."""
