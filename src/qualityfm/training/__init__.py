"""What every training loop shares: schedules, state, runtime, log."""
