"""The only SQL. A repository takes an open connection, whose transaction its caller owns.

Repositories of tenants' rows also take a `Scope` and see nothing outside it. Those that serve the
operator's processes (`work`, `registry`, `access`) say so in their first line.
"""
