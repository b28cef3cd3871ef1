"""Tests of the controller and the application."""
