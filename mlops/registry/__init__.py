"""Artifacts, versions and aliases."""
