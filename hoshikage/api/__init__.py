"""HTTP; the only importer of starlette."""
