"""The pages an inspector reads."""
