"""Where experience comes from: a simulated world and recordings."""
