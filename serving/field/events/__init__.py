"""Events as they happen: checked, kept, taken to new scores."""
