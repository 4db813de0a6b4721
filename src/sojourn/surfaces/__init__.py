"""What people and programs outside touch."""
