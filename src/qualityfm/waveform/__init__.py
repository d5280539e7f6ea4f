"""Signal processing in numpy and scipy: pure functions, batch first."""
