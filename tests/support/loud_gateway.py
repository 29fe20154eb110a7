"""A gateway that logs everything that any library has to say: ``python -m tests.support.loud_gateway``."""

import logging
import sys

from producers.gateway.server.serve import serve
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings

if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger(__name__).debug("all is logged")
    serve(GatewaySettings(), ClientSettings())
