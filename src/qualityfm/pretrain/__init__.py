"""Self-distillation on pairs of better and worse segments."""
