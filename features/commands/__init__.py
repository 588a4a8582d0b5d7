"""What is typed to load data, simulate a country and build signals."""
