"""What labels and probabilities alone say: classes, scores, decisions, resampling; numpy only."""
