"""How far each second of each channel can be trusted, in [0, 1], with reasons."""
