"""Pages of signing in and out, and the visitor whom every other page asks for."""
