"""Who is judged and by what, each with its date: cohort, labels, delays, splits, selection."""
