"""What is typed to train, judge and promote."""
