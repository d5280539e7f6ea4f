"""QualityFM: signal quality of ICU and operating-room waveforms."""
