"""A run over many photos, as ``dld-spotter read`` makes it.

- ``photo_paths``: what was named, as paths; also those that come line by line.
- ``earlier_records``: what an interrupted run has read.
- ``outputs``: records, tables, texts and drawings.
- ``worker_pool``: several processes.
- ``reading_progress``: a bar, or a line a minute.
- ``read_run``: all of it together.
"""
