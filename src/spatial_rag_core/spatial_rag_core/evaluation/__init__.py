"""What a model is worth: places, predictions, the experiment and its report."""
