"""Language models: where they come from, and the batched engine that scores, generates and trains with them."""
