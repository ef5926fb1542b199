"""How one model is trained: the family contract, the one training loop, the Ray trainable, the families."""
