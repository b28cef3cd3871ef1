"""HTTP: one module for each resource, each with a function that makes its blueprint."""
