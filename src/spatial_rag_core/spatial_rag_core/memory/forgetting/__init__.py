"""Which memories a selection or a capacity means, and how they are forgotten."""
