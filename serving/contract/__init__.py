"""The wire as types: requests and answers."""
