"""The networks and their checkpoints. Torch begins here."""
