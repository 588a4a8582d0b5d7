"""What comes back from the field, on the wire, and how it is read again."""
