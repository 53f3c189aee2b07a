"""Titles of pages: fetched concurrently, safely, and kept."""
