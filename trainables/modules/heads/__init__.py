"""From the embeddings of the towers to logits."""
