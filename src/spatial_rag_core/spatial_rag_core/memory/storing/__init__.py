"""From a moment to a stored memory: how far the robot has moved, names, the queue, the commits."""
