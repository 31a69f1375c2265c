"""What people read of the record: boards, lists, records."""
