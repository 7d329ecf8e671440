"""Background work: RQ workers that run validation and training attempts. No torch."""
