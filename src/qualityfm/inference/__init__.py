"""From a checkpoint to scores, embeddings and reports."""
