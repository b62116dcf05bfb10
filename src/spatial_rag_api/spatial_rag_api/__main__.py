"""`python -m spatial_rag_api`."""

from __future__ import annotations

import sys

from spatial_rag_api.main import main

if __name__ == '__main__':
    sys.exit(main())
