"""The API's operations as values, one module a resource; whoever sends them is not decided here."""
