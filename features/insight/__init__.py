"""What the warehouse says beside the ranking: completeness, flows, aggregates, release control.

Each module reads the warehouse as of a date and names no buyer. Nothing here scores a dealer.
"""
