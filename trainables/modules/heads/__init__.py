"""Classification heads: from the embeddings of the towers to logits."""
