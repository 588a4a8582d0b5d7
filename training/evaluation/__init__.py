"""How good an order is: metrics, baselines, stability, and the gates of promotion."""
