"""Commands for whoever runs the service: accounts, backups, who answers for what, routines."""
