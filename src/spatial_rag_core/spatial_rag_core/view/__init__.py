"""What there is to see of a memory: arrays of vertices and colours, for RViz and for a picture."""
