"""Runs a stranger's Python function where it can do no harm.

`launcher` and what it imports run in a process of their own and use nothing but the standard
library: `isolation` makes namespaces, `filesystem` an empty root, `confinement` takes privileges
and system calls away, `harness` calls the function. `running` starts that process and reads its
answer, and `self_test` tries to break out before anybody else may.

Whatever part of it a machine does not permit, the whole is refused: nothing runs half confined.
"""
