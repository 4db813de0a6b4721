"""Jobs that go over all records of a store and can be stopped and started again at any moment."""
