"""A list: composed, issued, decided on, exported."""
