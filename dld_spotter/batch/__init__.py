"""Reading millions of photos on a cluster with Ray Data; a job that is killed goes on.

The work is cut into shards, which stand in a manifest before anything is read. A shard that is finished is one file.
Nothing here imports Ray before a job starts: see ``ray_engine``.
"""
