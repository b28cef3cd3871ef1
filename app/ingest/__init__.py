"""CSV files into tables, with nothing lost on the way: rows in = inserted + updated + unchanged + duplicate + rejected.

    bytes -> dialect (gzip, encoding, delimiter, header) -> reader (rows with line and offset) -> rows (records or rejects)

What stands here streams: memory is bounded by `Limits`, whatever the file holds. What refuses a row, in this order; the
first that applies names it:

1. its shape: `line_too_long`, `unclosed_quote`, `bad_quote`
2. its bytes: `bad_utf8`, `nul`
3. its width: `too_few_columns`, `too_many_columns`
4. its fields, in the order of the table's columns (`app.domain`); the message lists the other bad fields too
5. the table: what only the database can know (duplicates, clashes, missing references)
"""
