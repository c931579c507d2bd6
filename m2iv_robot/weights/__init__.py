"""The small trained weights that ship with the package."""
