"""Archive -> shards, resumable."""
