"""The job that decodes large photographs into a batch file, in a process whose memory is given back when it ends."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from xibench.errors import InputError, StoreError
from xibench.measure.phase import PhaseListener
from xibench.workers import inputs
from xibench.workers.messages import BatchWritten, WriteBatch


def run_job(request: WriteBatch, listener: PhaseListener) -> BatchWritten:
    """Writes the batch. What is wrong with an image or with the file is the answer."""
    listener.on_progress("decoding")
    warnings.simplefilter("ignore")  # the output is read only if this process dies
    try:
        path, source = Path(os.fsdecode(request.file)), os.fsdecode(request.source)
        inputs.write_batch(path, source, request.batch, request.shape, request.seed)
    except InputError as error:
        return BatchWritten(input_error=os.fsencode(str(error)))
    except StoreError as error:
        return BatchWritten(store_error=os.fsencode(str(error)))
    return BatchWritten()
