"""What a store keeps in the tables of a database, whichever it is: how it is found and written."""
