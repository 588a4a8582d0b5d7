"""The audit chain: its records, its key, its verification, its witnesses."""
