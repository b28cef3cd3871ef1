"""The rules of users, URLs and events: pure functions that the API and the CSV import share.

A rule takes what came from outside and returns it typed, or raises `FieldError`. `users`, `urls` and `events` know JSON
values, whose type is given: a wrong one is an error, and a bool is no integer. `cells` knows the cells of a CSV file,
which are all text.
"""
