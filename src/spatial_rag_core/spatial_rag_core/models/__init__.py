"""The world model: encoder, transition, decoder, and the bundle file that carries them."""
