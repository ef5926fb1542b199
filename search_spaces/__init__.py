"""What may vary: parameter domains, and one module of declared parameters per model family."""
