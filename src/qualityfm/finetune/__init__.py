"""From a pre-trained model to one that answers a clinical task: probe, full training, adapter, calibration."""
