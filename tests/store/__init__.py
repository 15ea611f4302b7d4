"""The store on real databases: one contract, every backend. What needs no database is in tests/unit/store/."""
