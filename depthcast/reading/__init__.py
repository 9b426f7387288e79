"""Published files, read without any service: from the bucket, or over HTTP from a server or an edge.

::

    file = depthcast.read("s3://my-bucket", "ETHUSDT", 20)
    file.update_id, file.bids[0], file.exact_bids[0], file.to_polars()

=============================  ===================================================================
``depthcast.reading.file``     ``DepthFile``: one file as a value, and what its writer said beside it
``depthcast.reading.files``    ``DepthFiles``: those of many symbols
``depthcast.reading.frames``   records, pandas, polars
``depthcast.reading.stored``   from a bucket: which of its files holds so many levels
``depthcast.reading.web``      over HTTP: from a server, an edge, or a bucket that anybody may read
``depthcast.reading.reader``   ``Reader``: connections kept, failures tried again, many at once
``depthcast.reading.once``     ``read`` and its sisters: one call, nothing kept
=============================  ===================================================================
"""

from depthcast.reading.file import DepthFile
from depthcast.reading.files import DepthFiles
from depthcast.reading.once import read, read_async, read_many, read_many_async
from depthcast.reading.reader import Reader

__all__ = ["DepthFile", "DepthFiles", "Reader", "read", "read_async", "read_many", "read_many_async"]
