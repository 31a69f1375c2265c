"""A store on a PostgreSQL database."""
