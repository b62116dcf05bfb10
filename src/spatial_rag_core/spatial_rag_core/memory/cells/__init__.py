"""The parts of the embedded index: rows in pages by H3 cell, filters, ranking, near latents."""
