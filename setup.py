"""Lets colcon build the package; everything is in setup.cfg and pyproject.toml."""

from setuptools import setup

setup()
