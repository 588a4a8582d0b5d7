"""What inspections found: checked, kept, joined to the list or plan that ordered the visit."""
