"""``python -m producers.gateway``: serve what the environment describes.  People use ``ion gateway``."""

from producers.gateway.server.serve import serve
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings

if __name__ == "__main__":
    serve(GatewaySettings(), ClientSettings())
