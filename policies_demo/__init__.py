"""Scripts that answer whether the generated data helps a policy."""
