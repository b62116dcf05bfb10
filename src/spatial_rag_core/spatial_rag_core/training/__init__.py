"""From episodes to a bundle: perception first, then dynamics on its latents."""
