"""The application that ProdBreaker keeps alive."""
