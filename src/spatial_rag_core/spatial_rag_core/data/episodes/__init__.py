"""Episodes, and the files that hold them."""
