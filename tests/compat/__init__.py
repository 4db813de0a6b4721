"""Two neighbouring versions of Sojourn on the same data, in both directions.

One is the code as it stands here. The other is the next version, which is this code with one more
field, member and kind in every record (`newer.py`); and the baseline, a wheel of the commit whose
id is in the file `BASELINE`, once there is one. Both run in processes of their own (`child.py`,
`worker.py`), which know nothing of the tests and get the same requests.

- `test_operations.py`: each operation is sent by one and repeated by the other, with the same id.
  It takes effect once, both see the same, and what only the next version knows is still there. An
  operation that is added needs a row in `operations.py`.
- `test_rooms.py`: both at work on the same records, room by room; archives.
- `test_outages.py`: what one left in its journal, done by the other.
- `test_rolling.py`: four processes under load, replaced one by one, some of them killed.
- `test_planted.py`: what no version writes yet, in every kind of key, through every operation, an
  export, an import and a migration. A kind of key that is added needs a row there.

With FULL=1 each two neighbours meet on each server, and the restart goes back and forth.
"""
