"""Who is visited, by whom, and what is found."""
