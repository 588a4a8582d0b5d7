"""What must outlive a restart: the database, its tables and its migrations."""
