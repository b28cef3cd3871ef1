"""PostgreSQL: the pool, the schema, and the queries of each resource."""
