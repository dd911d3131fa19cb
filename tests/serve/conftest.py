"""The tests of the service are left out where the extra [serve] is not installed."""

from importlib.util import find_spec

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]
