"""What a policy would be worth, from decisions that another one made with known probabilities."""
