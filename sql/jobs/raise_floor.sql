-- One row. Raises the floors under the claim. An advisory lock for a moment. Caller: jobs/queue.
SELECT lockkeeper.raise_floor();
