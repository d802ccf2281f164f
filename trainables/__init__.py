"""What one trial is: data, modules, activations, training, variants and the Ray trainable."""
