"""Of tf2_msgs what transform_tree.py uses, for machines without it."""
