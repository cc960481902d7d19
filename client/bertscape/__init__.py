"""Loss landscapes of fine-tuned BERT models: the vocabulary and the client."""
