"""Dawdle: a backend that takes its time, and tells you how you spent it."""

__version__ = "0.1.0"
