"""Bundles made, tracked and promoted; the only folder that knows MLflow."""
