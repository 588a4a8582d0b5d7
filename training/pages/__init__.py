"""HTML reports of training: page, plots, templates."""
