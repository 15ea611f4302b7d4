"""The steps from one schema to the next, run by schema.py. A step that was released is never changed."""
