"""Every measure against llama-server in one table."""

import sys

from compat.peers.copying import copying
from compat.peers.decode import eight_streams, one_stream
from compat.peers.gap import beside
from compat.peers.harness import main
from compat.peers.prefix import shared_prefix
from compat.peers.resume import after_restart, after_unload

if __name__ == "__main__":
    sys.exit(main(one_stream, eight_streams, copying, shared_prefix, after_unload, after_restart, beside))
