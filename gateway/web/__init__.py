"""Process `web`: read-only API and page."""
