"""One map over work items; knows nothing of waveforms."""
