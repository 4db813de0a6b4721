"""Operations of the memory room, one class each.

Writes are atomic and happen once for each operation. All raise `CorruptRecord` when others have
written in the place of what they need, and `NewerFormat` when a newer version has, in a way that
this one cannot read; what it wrote can be deleted, but not replaced.

Where a tenant is given, entries of others, and for the empty one those of any, are not there: they
are neither read nor deleted, and `Conflict` is raised instead of replacing one.
"""
