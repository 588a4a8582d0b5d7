"""What is typed to score, list, explain, plan, serve and administer."""
